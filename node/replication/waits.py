"""WAIT: clients that want to know how many replicas have their writes.

Pure bookkeeping around parked sessions; the master's side asks the replicas (GETACK) and reports what they say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.session import NodeSession
from wire.errors import FORCE_UNBLOCKED, UNBLOCKED_BY_CLIENT, Error


class _Wait:
    """One parked client."""

    __slots__ = ("offset", "replicas", "timer")

    def __init__(self, offset: int, replicas: int) -> None:
        # Satisfied when so many replicas have acknowledged this offset.
        self.offset = offset
        self.replicas = replicas
        # Ends the wait; None when it has no end.
        self.timer: asyncio.TimerHandle | None = None


class Waits:
    """The clients parked in WAIT, in order of coming."""

    __slots__ = ("_acknowledged", "_waits")

    def __init__(self, acknowledged: Callable[[int], int]) -> None:
        # How many replicas have acknowledged an offset.
        self._acknowledged = acknowledged
        self._waits: dict[NodeSession, _Wait] = {}

    def __bool__(self) -> bool:
        return bool(self._waits)

    def add(self, session: NodeSession, offset: int, replicas: int, timeout_ms: int) -> None:
        """`session` is parked until `replicas` replicas are at `offset`, at most `timeout_ms` (0: for ever)."""
        wait = self._waits[session] = _Wait(offset, replicas)
        if timeout_ms:
            loop = asyncio.get_running_loop()
            wait.timer = loop.call_later(timeout_ms / 1000, self._answer, session, wait)
        session.unblock = lambda with_error: self._unblock(session, wait, with_error=with_error)

    def check(self) -> None:
        """A replica acknowledged something: whose wait is over?"""
        for session, wait in list(self._waits.items()):
            if self._acknowledged(wait.offset) >= wait.replicas:
                self._answer(session, wait)

    def forget(self, session: NodeSession) -> None:
        """The client is gone."""
        wait = self._waits.pop(session, None)
        if wait is not None and wait.timer is not None:
            wait.timer.cancel()

    def abandon(self) -> None:
        """This node is a replica now: there is nothing left to wait for."""
        for session in list(self._waits):
            self.forget(session)
            session.answer_later(Error(FORCE_UNBLOCKED))
            session.close()

    def _answer(self, session: NodeSession, wait: _Wait) -> None:
        self.forget(session)
        session.answer_later(self._acknowledged(wait.offset))

    def _unblock(self, session: NodeSession, wait: _Wait, *, with_error: bool) -> None:
        """CLIENT UNBLOCK."""
        self.forget(session)
        session.answer_later(Error(UNBLOCKED_BY_CLIENT) if with_error else self._acknowledged(wait.offset))
