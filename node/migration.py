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


class Migrations:
    """Carries out MIGRATE for parked clients."""

    __slots__ = ("_conclude", "_is_replica", "_pauses", "_tasks", "_tls")

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
        try:
            target = await connect(
                order.host,
                order.port,
                replace(order.greeting, tls=self._tls()),
                Limits(connect_timeout_ms=order.timeout_ms, silence_timeout_ms=order.timeout_ms),
            )
        except ConnectError as error:
            if error.refusal:
                return _refused(error.refusal)
            return Error(_CANNOT_CONNECT if isinstance(error.__cause__, UnicodeError | TimeoutError) else _CANNOT_WRITE)
        try:
            return await self._restore(target, order, arrived)
        finally:
            target.close()

    async def _restore(self, target: Outward, order: Order, arrived: list[bytes]) -> Reply:
        options = [b"REPLACE"] if order.replace else []
        commands = [[order.restore, key, b"%d" % ttl_ms, payload, *options] for key, ttl_ms, payload in order.entries]
        outcome: Reply = OK
        try:
            # The futures, all at once; the answers one by one.
            for (key, _, _), answer in zip(order.entries, target.requests(commands), strict=True):
                reply = await answer
                if not isinstance(reply, Error):
                    arrived.append(key)
                elif outcome is OK:
                    outcome = _refused(reply.text)
        except OutwardError:
            return Error(_CANNOT_READ)
        return outcome

    def _delete(self, call: Call, names: list[bytes]) -> None:
        db = call.db
        for name in names:
            db.remove(name)
            call.notify(GENERIC, b"del", name)
        call.propagate(b"DEL", *names)


def _refused(text: bytes) -> Error:
    return Error(b"ERR Target instance replied with error: " + text)
