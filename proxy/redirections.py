"""What a node's error says about the cluster: go elsewhere, come back later, or nothing (the client's own business).

Each of these errors is given before the command runs (cluster specification, "Redirection and resharding"), so a
command refused with one of them definitely did not happen and may be sent again.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.slot_map import Address, parse_address

# First words of errors that pass: the node loads its data, the cluster has no majority, a slot is in the middle of its
# move, a master has become a replica, a blocked client was let go because of that.
_PASSING = (b"LOADING", b"CLUSTERDOWN", b"TRYAGAIN", b"MASTERDOWN", b"READONLY")
_RELEASED = b"UNBLOCKED force unblock"


@dataclass(frozen=True, slots=True)
class Moved:
    """The slot belongs to another node, for good."""

    slot: int
    address: Address


@dataclass(frozen=True, slots=True)
class Ask:
    """The slot is on its way to another node, which may have the key already: ask there, this once, after ASKING."""

    slot: int
    address: Address


@dataclass(frozen=True, slots=True)
class Later:
    """No node can serve the command now."""

    reason: bytes


Redirection = Moved | Ask | Later


def read_redirection(text: bytes, asked: Address) -> Redirection | None:
    """What the error `text` (without its ``-``) of the node `asked` asks for; None: it is meant for the client."""
    word, _, rest = text.partition(b" ")
    if word in (b"MOVED", b"ASK"):
        slot, _, endpoint = rest.partition(b" ")
        # An empty host means: the one that was asked (`cluster-preferred-endpoint-type unknown-endpoint`).
        where = endpoint.decode(errors="replace")
        if where.rpartition(":")[0] in ("", "?"):
            where = asked.host + where.removeprefix("?")
        try:
            address = parse_address(where)
            number = int(slot)
        except ValueError:
            return Later(text)
        if not 0 <= number < 16384:
            return Later(text)
        return Moved(number, address) if word == b"MOVED" else Ask(number, address)
    if word in _PASSING or text.startswith(_RELEASED):
        return Later(text)
    return None
