"""WAIT and WAITAOF: clients that want to know who has their writes, replicas and disks.

Pure bookkeeping around parked sessions; the master's side asks the replicas (GETACK) and reports what they say, the log
reports what is synced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.session import NodeSession
from node.timeouts import seconds_of
from wire.errors import FORCE_UNBLOCKED, UNBLOCKED_BY_CLIENT, Error
from wire.reply import Reply


class _Wait:
    """One parked client."""

    __slots__ = ("reached", "report", "timer")

    def __init__(self, reached: Callable[[], bool], report: Callable[[], Reply]) -> None:
        # Whether enough have the client's writes, and what it is told when they have or its time is up.
        self.reached = reached
        self.report = report
        # Ends the wait; None when it has no end.
        self.timer: asyncio.TimerHandle | None = None


class Waits:
    """The parked clients, in order of coming."""

    __slots__ = ("_waits",)

    def __init__(self) -> None:
        self._waits: dict[NodeSession, _Wait] = {}

    def __bool__(self) -> bool:
        return bool(self._waits)

    def add(
        self, session: NodeSession, reached: Callable[[], bool], report: Callable[[], Reply], timeout_ms: int
    ) -> None:
        """`session` is parked until what it waits for is `reached`, at most `timeout_ms` (0: for ever)."""
        wait = self._waits[session] = _Wait(reached, report)
        if timeout_ms:
            loop = asyncio.get_running_loop()
            wait.timer = loop.call_later(seconds_of(timeout_ms), self._answer, session, wait)
        session.unblock = lambda with_error: self._unblock(session, wait, with_error=with_error)

    def check(self) -> None:
        """A replica acknowledged something, or something was synced: whose wait is over?"""
        for session, wait in list(self._waits.items()):
            if wait.reached():
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
        session.answer_later(wait.report())

    def _unblock(self, session: NodeSession, wait: _Wait, *, with_error: bool) -> None:
        """CLIENT UNBLOCK."""
        self.forget(session)
        session.answer_later(Error(UNBLOCKED_BY_CLIENT) if with_error else wait.report())
