"""SCAN over all masters, one after the other, with no memory of its own.

The cursor that the client gets says where the scan is: the master that owns a slot, its own cursor, and a check of
which node that was. A cursor means nothing to another node, so when a replica has taken over, its part begins again,
and some keys may be seen twice, which SCAN allows. Keys that move from a master not yet scanned to one already scanned
are missed.
"""

from __future__ import annotations

from binascii import crc_hqx

from proxy.errands import Carried
from proxy.routing import Route
from proxy.session import Answer, ProxySession
from proxy.slot_map import Address
from proxy.topology import Topology
from proxy.upstream import Link
from wire.encoder import encode_command
from wire.errors import Error

_SLOT_BITS = 14
_CHECK_BITS = 10
_SHIFT = _SLOT_BITS + _CHECK_BITS
_BAD_CURSOR = b"ERR invalid cursor"


class ScanErrand(Carried):
    """One step of a scan."""

    __slots__ = ("_check", "_cursor", "_topology")

    def __init__(self, place: Answer, argv: list[bytes], cursor: int, topology: Topology) -> None:
        slot = cursor & ((1 << _SLOT_BITS) - 1)
        super().__init__(place, argv, slot, safe=True, write=False)
        self._check = (cursor >> _SLOT_BITS) & ((1 << _CHECK_BITS) - 1)
        self._cursor = cursor >> _SHIFT
        self._topology = topology

    def send(self, link: Link, *, asking: bool = False) -> None:
        if _check(link.address) != self._check:
            # Another node than the one that gave the cursor (or, with cursor 0, the first step).
            self._cursor = 0
            self._check = _check(link.address)
        super().send(link, asking=asking)

    def requests(self) -> tuple[bytes, int]:
        return encode_command([self.argv[0], b"%d" % self._cursor, *self.argv[2:]]), 1

    def answered(self, reply: bytes) -> None:
        if reply.startswith(b"*2\r\n"):
            _, _, cursor, rest = reply.split(b"\r\n", 3)
            following = b"%d" % self._next(int(cursor))
            reply = b"*2\r\n$%d\r\n%b\r\n%b" % (len(following), following, rest)
        super().answered(reply)

    def _next(self, cursor: int) -> int:
        """The cursor for the client: the same master, or the next one, or 0."""
        assert self.slot is not None
        if cursor:
            return cursor << _SHIFT | self._check << _SLOT_BITS | self.slot
        for address, slot in self._topology.slot_map.masters().items():
            if slot > self.slot:
                return _check(address) << _SLOT_BITS | slot
        return 0


class Scanning:
    """SCAN's handler."""

    __slots__ = ("_topology",)

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    def scan(self, session: ProxySession, argv: list[bytes], _route: Route) -> None:
        text = argv[1] if len(argv) > 1 else b""
        if not text.isdigit() or len(text) > 20:
            session.answer(Error(_BAD_CURSOR))
            return
        cursor = int(text)
        if cursor == 0:
            # Nobody may serve the first slots; the scan begins with the first master there is.
            cursor = min(self._topology.slot_map.masters().values(), default=0)
        session.errands.dispatch(ScanErrand(session.place(), argv, cursor, self._topology))


def _check(address: Address) -> int:
    return crc_hqx(str(address).encode(), 0) & ((1 << _CHECK_BITS) - 1)
