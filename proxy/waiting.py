"""WAIT: replicas that have acknowledged this client's writes, on every node it has written to.

Its writes went out on shared links, so the connection that asks has written nothing. A node remembers for each
connection how far the replication stream had come at its last command; one more command there, a PING, therefore
stands for all of the client's writes, which have been answered before WAIT is sent.
"""

from __future__ import annotations

from proxy.private import Blocking, Private
from proxy.routing import Route
from proxy.scatter import Gather
from proxy.session import BLOCKED, ProxySession
from proxy.topology import Topology
from wire.encoder import encode_command

_PING = encode_command([b"PING"])


class WaitPart(Private):
    """The question to one node."""

    __slots__ = ("_gather", "_index")

    def __init__(self, gather: Gather, index: int, argv: list[bytes], slot: int) -> None:
        super().__init__(gather.place, argv, slot, safe=True, write=False)
        self._gather = gather
        self._index = index

    def requests(self) -> tuple[bytes, int]:
        return _PING + encode_command(self.argv), 2

    def answered(self, reply: bytes) -> None:
        self.abandoned()
        if self.on_answer is not None:
            self.on_answer(True)
        self._gather.arrived(self._index, reply)


class Waiting:
    """WAIT's handler."""

    __slots__ = ("_blocking", "_topology")

    def __init__(self, topology: Topology, blocking: Blocking) -> None:
        self._topology = topology
        self._blocking = blocking

    def wait(self, session: ProxySession, argv: list[bytes], _route: Route) -> None:
        session.when_idle(lambda: self._start(session, argv))

    def _start(self, session: ProxySession, argv: list[bytes]) -> None:
        masters = self._topology.slot_map.masters()
        written = [link.address for link in session.spoke_to if link.address in masters]
        slots = [masters[address] for address in written] or list(masters.values()) or [0]

        def least(replies: list[bytes]) -> bytes:
            session.unpause(BLOCKED)
            failed = [reply for reply in replies if reply.startswith(b"-")]
            return failed[0] if failed else b":%d\r\n" % min(int(reply[1:-2]) for reply in replies)

        gather = Gather(session.place(), len(slots), least, partial_errors=True)
        session.pause(BLOCKED)
        for index, slot in enumerate(slots):
            self._blocking.dispatch(WaitPart(gather, index, argv, slot), lambda _: None)
