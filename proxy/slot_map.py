"""Who serves which slot, as far as this client of the cluster knows.

A value made from one node's CLUSTER SLOTS, corrected in place by MOVED. It is allowed to be wrong: the cluster's nodes
redirect whoever asks the wrong one (cluster specification, "MOVED Redirection"), and `proxy.topology` reads it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

SLOTS = 16384


class Address(NamedTuple):
    """Where a node takes commands."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class SlotMapError(Exception):
    """CLUSTER SLOTS' reply has not the shape that Redis documents."""


class SlotMap:
    """Owner of each slot, and the replicas of each owner."""

    __slots__ = ("_masters", "owners", "replicas")

    def __init__(self) -> None:
        # The master of each slot; None where nobody serves it.
        self.owners: list[Address | None] = [None] * SLOTS
        # Replicas that are fit to serve reads, by their master.
        self.replicas: dict[Address, tuple[Address, ...]] = {}
        # What `masters` found, until the next `assign`.
        self._masters: dict[Address, int] | None = None

    def assign(self, slot: int, owner: Address) -> None:
        """A node said that `slot` is served by `owner`."""
        self.owners[slot] = owner
        self._masters = None

    @classmethod
    def from_cluster_slots(cls, reply: Any, asked: Address) -> SlotMap:
        """The map in a reply to CLUSTER SLOTS that `asked` gave; raises SlotMapError.

        A node that does not know its own address (or is told not to show it) leaves the host out: whoever asks then
        uses the address it asked.
        """
        result = cls()
        try:
            for first, last, *nodes in reply:
                master, *replicas = [_address(node, asked) for node in nodes]
                if not 0 <= first <= last < SLOTS:
                    raise SlotMapError(f"{asked}: no such slots: {first} to {last}")
                result.owners[first : last + 1] = [master] * (last + 1 - first)
                result.replicas[master] = tuple(replicas)
        except (TypeError, ValueError, IndexError) as error:
            raise SlotMapError(f"{asked}: cannot read its CLUSTER SLOTS: {error}") from error
        return result

    def masters(self) -> dict[Address, int]:
        """Every master that serves slots, with its lowest slot, in order of those."""
        if self._masters is None:
            self._masters = {}
            for first, _, owner in self.ranges():
                self._masters.setdefault(owner, first)
        return self._masters

    def ranges(self) -> Iterator[tuple[int, int, Address]]:
        """Runs of slots with one owner: first, last, owner."""
        owners = self.owners
        first = 0
        for slot in range(1, SLOTS + 1):
            if slot == SLOTS or owners[slot] != owners[first]:
                owner = owners[first]
                if owner is not None:
                    yield first, slot - 1, owner
                first = slot

    def nodes(self) -> list[Address]:
        """Every node named, masters first."""
        found = dict.fromkeys(self.masters())
        for replicas in self.replicas.values():
            found.update(dict.fromkeys(replicas))
        return list(found)

    @property
    def served(self) -> int:
        """How many slots have an owner."""
        return SLOTS - self.owners.count(None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlotMap) and self.owners == other.owners and self.replicas == other.replicas

    __hash__ = None  # type: ignore[assignment]  # it changes


def parse_address(text: str) -> Address:
    """``host:port`` (an IPv6 host may stand in brackets or bare); raises ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"'{text}' is not host:port")
    return Address(host, int(port))


def _address(node: Any, asked: Address) -> Address:
    host, port = node[0], node[1]
    # "?" stands for an unknown host name (`cluster-preferred-endpoint-type hostname`).
    name = host.decode() if host and host != b"?" else asked.host
    if not 0 < port < 65536:
        raise ValueError(f"port {port}")
    return Address(name, port)
