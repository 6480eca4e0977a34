"""A light client of a Redis cluster: one request at a time, MOVED and ASK followed, every outcome told apart.

It learns who has which slot from redirections alone, and tries any node where it does not know: cheap enough for
thousands of runs. What it rests on is the product's own outgoing connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from cluster.slots import key_slot
from wire.errors import Error
from wire.outward import Limits, Outward, OutwardError, connect

Address = tuple[str, int]

_REDIRECTIONS_MAX = 5
_LIMITS = Limits(connect_timeout_ms=500, silence_timeout_ms=0)


class ClusterClient:
    """One client; not for concurrent use."""

    __slots__ = ("_chance", "_connections", "_nodes", "_owners", "_timeout_ms", "answered_by")

    def __init__(self, nodes: Sequence[Address], chance: Random, timeout_ms: int = 1000) -> None:
        self._nodes = list(nodes)
        self._chance = chance
        self._timeout_ms = timeout_ms
        # Who has a slot, as far as redirections told.
        self._owners: dict[int, Address] = {}
        self._connections: dict[Address, Outward] = {}
        # Who gave the last answer.
        self.answered_by = ""

    async def call(self, key: bytes, *argv: bytes) -> Any:
        """The reply to a command about `key`. Raises `Error` when it was refused and OutwardError when it failed on its
        way; the latter says whether it may have happened."""
        slot = key_slot(key)
        address = self._owners.get(slot) or self._anybody()
        asking = False
        refusal: Error | None = None
        for _ in range(_REDIRECTIONS_MAX):
            try:
                connection = await self._connection(address)
                if asking:
                    connection.request(b"ASKING")
                self.answered_by = f"{address[0]}:{address[1]}"
                return await connection.call(*argv, timeout_ms=self._timeout_ms)
            except Error as error:
                refusal = error
                words = error.text.split()
                if words[0] not in (b"MOVED", b"ASK"):
                    raise
                host, _, port = words[2].decode().rpartition(":")
                asking = words[0] == b"ASK"
                address = (host, int(port))
                if not asking:
                    self._owners[slot] = address
            except OutwardError:
                # It will be somebody else's by the time it is asked again.
                self._owners.pop(slot, None)
                self._drop(address)
                raise
        assert refusal is not None
        raise refusal

    def close(self) -> None:
        for address in list(self._connections):
            self._drop(address)

    def _anybody(self) -> Address:
        return self._nodes[self._chance.randrange(len(self._nodes))]

    async def _connection(self, address: Address) -> Outward:
        found = self._connections.get(address)
        if found is not None and not found.closed:
            return found
        opened = self._connections[address] = await connect(*address, limits=_LIMITS)
        return opened

    def _drop(self, address: Address) -> None:
        found = self._connections.pop(address, None)
        if found is not None:
            found.close()


def happened(error: Exception) -> bool | None:
    """Whether a failed operation was executed: False for certain not, None for nobody knows."""
    if isinstance(error, Error):
        return False
    assert isinstance(error, OutwardError)
    return error.happened
