"""Clients that wait for a key to hold something: BLPOP and its like, XREAD BLOCK.

To wait for a key is to watch it: those who wait for one kind of value at one key are a `_Queue`, which stands among the
database's watchers beside the sessions that sent WATCH. So every writer tells of its change already, and where nobody
waits it costs nothing. A change that may serve somebody makes the queue ready; the executor serves what is ready
between two commands of clients, after a whole EXEC and after a script: keys in the order in which they became ready,
the clients of a key in the order in which they blocked (Redis: BLPOP, "What key is served first?").

How long a client waits, and what ends the wait besides a key (a timeout, CLIENT UNBLOCK, a change of role, a slot
that moved), is also decided here. What a served client gets is the business of its command.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from node.database import DELETE_EXPIRED, Database, slot_of
from node.session import NodeSession
from node.timeouts import seconds_of
from wire.errors import FORCE_UNBLOCKED, UNBLOCKED_BY_CLIENT, Error
from wire.reply import NIL_ARRAY, PARKED, Reply
from wire.session import CLOSING
from wire.table import Command

if TYPE_CHECKING:
    from node.call import Call

# What a `Serve` returns when the key has nothing for this client after all: it waits on.
NOT_YET = object()
# Tries to serve the client of the call from a key that has just become ready. It propagates its effects itself.
Serve = Callable[["Call", bytes], Reply]
# Runs a `Serve` as a command: errors counted, effects passed on.
Run = Callable[["Call", Serve, bytes], Reply]

# What is due, and could not be given out, is tried again so soon.
_OVERDUE_S = 0.1


def first_served(call: Call, keys: Sequence[bytes], serve: Serve) -> Reply:
    """The reply from the first of `keys` that has something for the client now, or NOT_YET."""
    for key in keys:
        reply = serve(call, key)
        if reply is not NOT_YET:
            return reply
    return NOT_YET


class _Waiter:
    """One blocked client."""

    __slots__ = ("again_ms", "alarm", "on_timeout", "queues", "serve", "session", "timer", "until_gone")

    def __init__(self, session: NodeSession, serve: Serve, on_timeout: Reply, *, until_gone: bool) -> None:
        self.session = session
        self.serve = serve
        # The reply when nothing came in time.
        self.on_timeout = on_timeout
        # It is also to be served when the key is deleted, or holds something of another kind.
        self.until_gone = until_gone
        # Where it stands in line, in the order of its keys.
        self.queues: list[_Queue] = []
        self.timer: asyncio.TimerHandle | None = None
        # For how long it need not be looked at unless a key changes, if time alone may bring something for it.
        self.again_ms: Callable[[], int] | None = None
        self.alarm: asyncio.TimerHandle | None = None


class _Queue:
    """Who waits for a value of one kind at one key, in order of blocking. A watcher of the key."""

    __slots__ = ("_is_ready", "_ready", "database", "key", "kind", "until_gone", "waiters")

    def __init__(self, database: Database, key: bytes, kind: type, ready: deque[_Queue]) -> None:
        self.database = database
        self.key = key
        self.kind = kind
        # Ordered, for its first entry is found at once even after many have left (in a dict they leave holes).
        self.waiters: OrderedDict[_Waiter, None] = OrderedDict()
        # How many of them want to know when the key is gone.
        self.until_gone = 0
        self._ready = ready
        self._is_ready = False

    def touched(self, database: Database, key: bytes, *, gone: bool) -> None:  # noqa: ARG002 - expired is not yet gone
        """The key was changed: whoever waits here is looked at before the next command, if it may concern them.

        One that has expired meanwhile (SWAPDB) serves nobody, but is met, and so deleted.
        """
        if self.until_gone or type(database.shards[slot_of(key)].get(key)) is self.kind:
            self.call_up()

    def call_up(self) -> None:
        """Have those who wait here looked at."""
        if not self._is_ready:
            self._is_ready = True
            self._ready.append(self)

    def serve(self, run: Run, answer: Callable[[_Waiter, Reply], None]) -> None:
        """Serve as many as the key has something for."""
        self._is_ready = False
        passed_over: list[_Waiter] = []
        waiters = self.waiters
        while len(waiters) > len(passed_over):
            fits = type(self.database.get(self.key)) is self.kind
            if not fits and not self.until_gone:
                break
            waiter = next(iter(waiters))
            session = waiter.session
            reply: Reply = NOT_YET
            # Who has hung up takes nothing away with him.
            if (fits or waiter.until_gone) and not session.mask & CLOSING:
                reply = run(session.call, waiter.serve, self.key)
            if reply is NOT_YET:
                waiters.move_to_end(waiter)
                passed_over.append(waiter)
            else:
                answer(waiter, reply)
        for waiter in reversed(passed_over):
            waiters.move_to_end(waiter, last=False)


class BlockedClients:
    """All clients of the node that wait for keys."""

    __slots__ = ("_queues", "_waiters", "ready")

    def __init__(self) -> None:
        self._waiters: dict[NodeSession, _Waiter] = {}
        self._queues: dict[tuple[Database, bytes, type], _Queue] = {}
        # The queues whose keys have changed, in that order. The executor looks after every change whether there are
        # any, and calls `serve`.
        self.ready: deque[_Queue] = deque()

    def serve_or_block(self, call: Call, keys: Sequence[bytes], kind: type, serve: Serve, timeout_ms: int) -> Reply:
        """Serve the client from the first of `keys` that has something for it, or else `block` it."""
        reply = first_served(call, keys, serve)
        return self.block(call, keys, kind, serve, timeout_ms) if reply is NOT_YET else reply

    def block(
        self,
        call: Call,
        keys: Sequence[bytes],
        kind: type,
        serve: Serve,
        timeout_ms: int,
        *,
        on_timeout: Reply = NIL_ARRAY,
        until_gone: bool = False,
        again_ms: Callable[[], int] | None = None,
    ) -> Reply:
        """Park the client until one of `keys`, in its selected database, holds a `kind` that `serve` can serve it from.

        `serve(call, key)` is called with the client's own call, its arguments untouched, when the key has been created
        or changed; it returns the reply, or NOT_YET. With `until_gone` it is also called when the key was deleted or
        has another type now, and with `again_ms` after so many milliseconds. After `timeout_ms` (0: never) the reply is
        `on_timeout`. Return what this returns: where nothing may block (`Call.may_block`), that is `on_timeout` at
        once.
        """
        if not call.may_block:
            return on_timeout
        session = call.session
        waiter = self._waiters[session] = _Waiter(session, serve, on_timeout, until_gone=until_gone)
        for key in keys:
            self._stand_in_line(waiter, call.db, key, kind)
        if timeout_ms:
            loop = asyncio.get_running_loop()
            waiter.timer = loop.call_later(seconds_of(timeout_ms), self._answer, waiter, on_timeout)
        if again_ms is not None:
            waiter.again_ms = again_ms
            self._set_alarm(waiter, again_ms())
        session.unblock = lambda with_error: self._answer(
            waiter, Error(UNBLOCKED_BY_CLIENT) if with_error else on_timeout
        )
        call.park()
        return PARKED

    def key_count(self, *, until_gone: bool = False) -> int:
        """How many keys somebody waits for; or for how many of them to be gone, too."""
        return len(
            {(queue.database, queue.key) for queue in self._queues.values() if queue.until_gone or not until_gone}
        )

    def _set_alarm(self, waiter: _Waiter, after_ms: int) -> None:
        seconds = seconds_of(after_ms) if after_ms > 0 else _OVERDUE_S
        waiter.alarm = asyncio.get_running_loop().call_later(seconds, self._look_again, waiter)

    def _look_again(self, waiter: _Waiter) -> None:
        call = waiter.session.call
        # While clients are paused nothing is given out by itself.
        if call.keyspace.expiry == DELETE_EXPIRED:
            for queue in waiter.queues:
                queue.call_up()
            call.node.executor.aftermath.serve_blocked()
        if waiter.again_ms is not None and self._waiters.get(waiter.session) is waiter:
            self._set_alarm(waiter, waiter.again_ms())

    def serve(self, run: Run) -> None:
        """Serve the clients of every key that has become ready, and of those that become so by it."""
        ready = self.ready
        while ready:
            ready.popleft().serve(run, self._answer)

    def refuse(self, refusal: Callable[[NodeSession, Command, list[bytes]], Error | None]) -> None:
        """Send away those to whom `refusal` gives a reason: the keys they wait for are not served here any more."""
        for session, waiter in list(self._waiters.items()):
            error = refusal(session, session.call.command, session.call.argv)
            if error is not None:
                self._answer(waiter, error)

    def abandon(self) -> None:
        """This node is a replica now: what they wait for will be popped elsewhere."""
        for session, waiter in list(self._waiters.items()):
            self._answer(waiter, Error(FORCE_UNBLOCKED))
            session.close()

    def forget(self, session: NodeSession) -> None:
        """The client is gone."""
        waiter = self._waiters.pop(session, None)
        if waiter is None:
            return
        if waiter.timer is not None:
            waiter.timer.cancel()
        if waiter.alarm is not None:
            waiter.alarm.cancel()
        for queue in waiter.queues:
            del queue.waiters[waiter]
            queue.until_gone -= waiter.until_gone
            if not queue.waiters:
                del self._queues[queue.database, queue.key, queue.kind]
                queue.database.unwatch(queue.key, queue)

    def _stand_in_line(self, waiter: _Waiter, database: Database, key: bytes, kind: type) -> None:
        queue = self._queues.get((database, key, kind))
        if queue is None:
            queue = self._queues[database, key, kind] = _Queue(database, key, kind, self.ready)
            database.watch(key, queue)
        elif waiter in queue.waiters:
            # The same key twice.
            return
        queue.waiters[waiter] = None
        queue.until_gone += waiter.until_gone
        waiter.queues.append(queue)

    def _answer(self, waiter: _Waiter, reply: Reply) -> None:
        self.forget(waiter.session)
        waiter.session.answer_later(reply)
