"""FAILOVER: this master and one of its replicas change places, and no write is lost on the way.

Writes are held back until the replica has acknowledged all there is (`waiting-for-sync`). Then this node becomes its
replica and asks it, with ``PSYNC … FAILOVER``, to be the master (`failover-in-progress`); once that is answered, what
was held back runs, and is told that this is a replica. With FORCE the replica need not have everything when the time is
up. A target that does not answer is asked again and again, until somebody says FAILOVER ABORT.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

from node.replication.master import Master
from node.replication.peer import PeerState, ReplicaPeer
from runtime import Log
from wire.errors import Error

_NO_REPLICAS = b"ERR FAILOVER requires connected replicas."
_FORCE_INCOMPLETE = b"ERR FAILOVER with force option requires both a timeout and target HOST and IP."
_UNKNOWN_TARGET = b"ERR FAILOVER target HOST and PORT is not a replica."
_TARGET_NOT_ONLINE = b"ERR FAILOVER target replica is not online."


class FailoverState(Enum):
    """How far it is; the values are what INFO shows."""

    NONE = "no-failover"
    WAITING = "waiting-for-sync"
    IN_PROGRESS = "failover-in-progress"


class Failover:
    """The failover that an operator of this master has asked for, if one is under way."""

    __slots__ = ("_follow", "_force", "_hold_writes", "_log", "_promote", "_replicas", "_target", "_timer", "state")

    def __init__(
        self,
        log: Log,
        replicas: Master,
        follow: Callable[[str, int], None],
        promote: Callable[[], None],
        hold_writes: Callable[[bool], None],
    ) -> None:
        self._log = log
        self._replicas = replicas
        # What changes this node's role.
        self._follow = follow
        self._promote = promote
        # Holds clients' writes back, or lets them go.
        self._hold_writes = hold_writes
        self.state = FailoverState.NONE
        # Who is to take over; None: whoever has everything first.
        self._target: tuple[str, int] | None = None
        # Go ahead when the time is up.
        self._force = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def under_way(self) -> bool:
        return self.state is not FailoverState.NONE

    @property
    def in_progress(self) -> bool:
        """This node is its target's replica already, and waits for the target's word."""
        return self.state is FailoverState.IN_PROGRESS

    def request(self, target: tuple[str, int] | None, timeout_ms: int, *, force: bool) -> None:
        """Begin; the refusals are in Redis' order. Raises Error."""
        assert not self.under_way, "one failover at a time"
        if not self._replicas.peers:
            raise Error(_NO_REPLICAS)
        if force and not (timeout_ms and target):
            raise Error(_FORCE_INCOMPLETE)
        if target is not None:
            peer = self._find(target)
            if peer is None:
                raise Error(_UNKNOWN_TARGET)
            if peer.state is not PeerState.ONLINE:
                raise Error(_TARGET_NOT_ONLINE)
        self._target = target
        self._force = force
        self.state = FailoverState.WAITING
        loop = asyncio.get_running_loop()
        if timeout_ms:
            self._timer = loop.call_later(timeout_ms / 1000, self._time_is_up)
        self._hold_writes(True)
        # After this turn: the client gets its OK first, and what this turn wrote belongs to what must be acknowledged.
        loop.call_soon(self.check)

    def check(self) -> None:
        """A replica may have everything now."""
        if self.state is not FailoverState.WAITING:
            return
        offset = self._replicas.feed.history.offset
        if self._target is not None:
            peer = self._find(self._target)
            if peer is None or peer.ack_offset != offset:
                return
        else:
            peer = next((peer for peer in self._replicas.peers.values() if peer.ack_offset == offset), None)
            if peer is None:
                return
        target = self._target or (peer.address, peer.port)
        self._log.notice(f"Failover target: {target[0]}:{target[1]} is synced, failing over.")
        self._change_places(target)

    def answered(self, *, accepted: bool) -> None:
        """The target has answered PSYNC … FAILOVER; a copy instead of the stream is no reason to go back."""
        if not self.in_progress:
            return
        if accepted:
            self._clear()
        else:
            self.abort("Failover target rejected psync request")

    def abort(self, reason: str) -> None:
        """Stay, or be again, the master that this node was."""
        if not self.under_way:
            return
        where = "" if self._target is None else f" to {self._target[0]}:{self._target[1]}"
        self._log.notice(f"Aborting failover{where} while {self.state.value}: {reason}")
        was_in_progress = self.in_progress
        self._clear()
        if was_in_progress:
            self._promote()

    def stop(self) -> None:
        """The node ends."""
        if self._timer is not None:
            self._timer.cancel()

    def _time_is_up(self) -> None:
        self._timer = None
        if self.state is not FailoverState.WAITING:
            return
        if not self._force:
            self.abort("Replica never caught up before timeout")
            return
        assert self._target is not None, "FORCE comes with a target"
        self._log.notice(f"Failover to {self._target[0]}:{self._target[1]} time out exceeded, failing over.")
        self._change_places(self._target)

    def _change_places(self, target: tuple[str, int]) -> None:
        self._target = target
        self.state = FailoverState.IN_PROGRESS
        self._follow(*target)

    def _clear(self) -> None:
        self.stop()
        self._timer = None
        self._target = None
        self._force = False
        self.state = FailoverState.NONE
        self._hold_writes(False)

    def _find(self, target: tuple[str, int]) -> ReplicaPeer | None:
        host, port = target
        for peer in self._replicas.peers.values():
            if peer.port == port and peer.address.lower() == host.lower():
                return peer
        return None
