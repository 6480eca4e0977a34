"""MIGRATE: keys leave for another server, and exist at one of the two at every moment.

Redis stops everything while it waits for the target. Here only writes are held back: what has been sent cannot change
before the target has it and it is deleted here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from node.call import Call, Conclude
from node.notifications import GENERIC
from node.pause import PausePurpose, Pauses
from runtime import Tasks
from runtime.tls import Context
from wire.errors import FORCE_UNBLOCKED, Error
from wire.outward import ConnectError, Greeting, Limits, Outward, OutwardError, connect
from wire.reply import OK, Reply
from wire.session import CLOSING
from wire.table import Command

_CANNOT_CONNECT = b"IOERR error or timeout connecting to the client"
_CANNOT_WRITE = b"IOERR error or timeout writing to target instance"
_CANNOT_READ = b"IOERR error or timeout reading to target instance"
# A connection is kept for so long after its last use, and no more of them than this (Redis, "Migrate Socket Cache").
_IDLE_S = 10.0
_IDLE_MAX = 64
# A pause outlasts the wait for the target, and ends by itself if all else fails.
_PAUSE_MARGIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """What to send where."""

    host: str
    port: int
    greeting: Greeting
    timeout_ms: int
    # Each key with its time to live in milliseconds (0: none) and its value as DUMP gives it.
    entries: list[tuple[bytes, int, bytes]]
    copy: bool
    replace: bool
    # The command that the target is given: in a cluster one that may use a slot that is being imported.
    restore: bytes


# What makes one connection as good as another: where it goes, how it began, and how long it waits for an answer.
_Target = tuple[str, int, Greeting, int]


class IdleConnections:
    """Connections to targets that may soon be needed again: whoever moves a slot sends MIGRATE after MIGRATE."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        # The oldest first, each with the end of its time.
        self._kept: dict[_Target, tuple[Outward, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, target: _Target) -> Outward | None:
        """One that is open as far as is known, if there is one; it is the caller's now."""
        connection, timer = self._kept.pop(target, (None, None))
        if timer is not None:
            timer.cancel()
        return None if connection is None or connection.closed else connection

    def keep(self, target: _Target, connection: Outward) -> None:
        """Nobody needs it at the moment."""
        if connection.closed or connection.pending or target in self._kept:
            connection.close()
            return
        if len(self._kept) >= _IDLE_MAX:
            self._end(next(iter(self._kept)))
        timer = asyncio.get_running_loop().call_later(_IDLE_S, self._end, target)
        self._kept[target] = connection, timer

    def close(self) -> None:
        for target in list(self._kept):
            self._end(target)

    def _end(self, target: _Target) -> None:
        connection, timer = self._kept.pop(target)
        timer.cancel()
        connection.close()


class Migrations:
    """Carries out MIGRATE for parked clients."""

    __slots__ = ("_conclude", "_is_replica", "_pauses", "_tasks", "_tls", "idle")

    def __init__(
        self,
        tasks: Tasks,
        pauses: Pauses,
        conclude: Conclude,
        is_replica: Callable[[], bool],
        tls: Callable[[], Context | None],
    ) -> None:
        self._tasks = tasks
        self._pauses = pauses
        # Passes on the effects of a command that ended after its turn.
        self._conclude = conclude
        self._is_replica = is_replica
        # With what the targets are spoken to: the nodes of a cluster with TLS among themselves expect it.
        self._tls = tls
        self.idle = IdleConnections()

    def start(self, call: Call, order: Order) -> Reply:
        """Park the client until the keys are at their target, or cannot be brought there."""
        until = asyncio.get_running_loop().time() + order.timeout_ms / 1000 + _PAUSE_MARGIN_S
        reply = call.park()
        self._pauses.begin(PausePurpose.MIGRATION, until, everything=False)
        self._tasks.start("migration", self._run(call, order, call.command, call.argv))
        return reply

    async def _run(self, call: Call, order: Order, command: Command, argv: list[bytes]) -> None:
        arrived: list[bytes] = []
        try:
            reply = await self._send(order, arrived)
        finally:
            # Before anything is deleted here: what expires meanwhile is the target's business.
            self._pauses.end(PausePurpose.MIGRATION)
        if self._is_replica():
            reply = Error(FORCE_UNBLOCKED)
        elif arrived and not order.copy:
            self._delete(call, arrived)
        call.argv, call.command = argv, command
        # It changed no more than its effects say.
        self._conclude(call, command, argv, changed=False)
        if not call.session.mask & CLOSING:
            call.session.answer_later(reply)

    async def _send(self, order: Order, arrived: list[bytes]) -> Reply:
        """Bring the keys to the target; `arrived` gets those that it has taken."""
        greeting = replace(order.greeting, tls=self._tls())
        target = order.host, order.port, greeting, order.timeout_ms
        kept = self.idle.take(target)
        if kept is not None:
            try:
                # The password may be another one by now.
                refusal = await kept.request(*greeting.credentials) if greeting.password else None
                if isinstance(refusal, Error):
                    return _refused(refusal.text)
                return await self._restore(kept, order, arrived)
            except OutwardError as error:
                if arrived or isinstance(error.__cause__, TimeoutError):
                    return Error(_CANNOT_READ)
                # The other end had closed it meanwhile: this has not failed yet.
            finally:
                self.idle.keep(target, kept)
        limits = Limits(connect_timeout_ms=order.timeout_ms, silence_timeout_ms=order.timeout_ms)
        try:
            connection = await connect(order.host, order.port, greeting, limits)
        except ConnectError as error:
            if error.refusal:
                return _refused(error.refusal)
            return Error(_CANNOT_CONNECT if isinstance(error.__cause__, UnicodeError | TimeoutError) else _CANNOT_WRITE)
        try:
            return await self._restore(connection, order, arrived)
        except OutwardError:
            return Error(_CANNOT_READ)
        finally:
            self.idle.keep(target, connection)

    async def _restore(self, connection: Outward, order: Order, arrived: list[bytes]) -> Reply:
        """Send the keys, and read the answers; raises OutwardError."""
        options = [b"REPLACE"] if order.replace else []
        commands = [[order.restore, key, b"%d" % ttl_ms, payload, *options] for key, ttl_ms, payload in order.entries]
        outcome: Reply = OK
        # The futures, all at once; the answers one by one.
        for (key, _, _), answer in zip(order.entries, connection.requests(commands), strict=True):
            reply = await answer
            if not isinstance(reply, Error):
                arrived.append(key)
            elif outcome is OK:
                outcome = _refused(reply.text)
        return outcome

    def _delete(self, call: Call, names: list[bytes]) -> None:
        db = call.db
        for name in names:
            db.remove(name)
            call.notify(GENERIC, b"del", name)
        call.propagate(b"DEL", *names)


def _refused(text: bytes) -> Error:
    return Error(b"ERR Target instance replied with error: " + text)
