"""Runs our master's stream: a client that is never refused, never answered, and sees what has expired.

The stream's bytes go on to our own replicas in the units in which they were applied, so that the offset always
says what has been applied. While clients are paused, so is the stream: it waits here, received and not applied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from node.database import SEE_EXPIRED
from node.execute import Executor
from node.keyspace import Keyspace
from node.replication.feed import Feed
from node.replication.stream import Portion, StreamReader
from node.session import NodeSession
from runtime import Runtime
from wire.errors import Error
from wire.table import STRETCHES_MAX


class Applier:
    """The end of the stream: from bytes to changed data."""

    __slots__ = (
        "_executor",
        "_feed",
        "_held",
        "_is_paused",
        "_keyspace",
        "_reader",
        "_runtime",
        "_session",
        "_update_expiry_mode",
    )

    def __init__(
        self,
        runtime: Runtime,
        keyspace: Keyspace,
        executor: Executor,
        feed: Feed,
        session: NodeSession,
        update_expiry_mode: Callable[[], None],
        is_paused: Callable[[bool], bool],
    ) -> None:
        self._runtime = runtime
        self._keyspace = keyspace
        self._executor = executor
        # Where the bytes go on to our own replicas.
        self._feed = feed
        # The client that the commands run as. It keeps its database from one link to the next, because a resumed
        # stream does not say again which one it is in.
        self._session = session
        # Says again how expired keys are treated, after commands of the stream saw them as existing.
        self._update_expiry_mode = update_expiry_mode
        self._reader = StreamReader()
        # What a pause holds back.
        self._held: deque[Portion] = deque()
        # Whether commands, of which some change data or none do, must wait: the node's pauses say so.
        self._is_paused = is_paused

    @property
    def database(self) -> int:
        """The database that the stream is in."""
        return self._session.call.db.index

    @property
    def unapplied(self) -> int:
        """Bytes received that cannot be applied yet."""
        return self._reader.unapplied + sum(len(portion.data) for portion in self._held)

    def begin(self, database: int | None = None) -> None:
        """Another link: what the last one left unfinished will come again. `database` says where the data that was
        just loaded goes on; without it the stream is where it was."""
        self._reader = StreamReader()
        self._held.clear()
        if database is not None:
            self._session.call.db = self._keyspace.database(database)

    def receive(self, data: bytes) -> int | None:
        """The next bytes of the stream. Returns the offset to acknowledge if the master asked for one; raises
        StreamError."""
        portion = self._reader.receive(data)
        if portion is None:
            return None
        self._held.append(portion)
        return self.go_on()

    def go_on(self) -> int | None:
        """Apply what has been received as far as no pause holds it back; returns the same as `receive`."""
        asked_for = None
        while self._held and not self._must_wait(self._held[0]):
            portion = self._held.popleft()
            self._apply(portion)
            if portion.getack_at is not None:
                asked_for = self._feed.history.offset + portion.getack_at
            self._feed.append(portion.data)
        return asked_for

    def _must_wait(self, portion: Portion) -> bool:
        # Without a pause nobody looks at the commands.
        return self._is_paused(True) and self._is_paused(any(map(self._executor.indirect.changes, portion.commands)))

    def _apply(self, portion: Portion) -> None:
        keyspace = self._keyspace
        keyspace.now_ms = self._runtime.clock.wall_ms()
        # The master decides what has expired; until it says so, its commands find the key (expiry fact sheet, 1.1).
        keyspace.expiry = SEE_EXPIRED
        session = self._session
        session.last_seen_ms = keyspace.now_ms
        indirect = self._executor.indirect
        batch = portion.batch
        at = 0
        if batch.columns is not None:
            for _ in range(STRETCHES_MAX):
                at += indirect.apply_stretch(session, batch, at)
                if at == batch.count:
                    break
                # The next one is not ordinary; those behind it may be.
                self._apply_one(session, batch.commands[at])
                at += 1
        for argv in batch.commands[at:] if at < batch.count else ():
            self._apply_one(session, argv)
        session.out.clear()
        self._update_expiry_mode()

    def _apply_one(self, session: NodeSession, argv: list[bytes]) -> None:
        try:
            reply = self._executor.indirect.apply(session, argv)
        except Error as error:
            reply = error.with_traceback(None)
        if isinstance(reply, Error):
            self._log_refusal(reply, argv)

    def _log_refusal(self, error: Error, argv: list[bytes]) -> None:
        """Redis' words: master and replica may no longer have the same data."""
        text = error.text.decode("utf-8", "replace")
        name = argv[0].decode("utf-8", "replace").lower()
        self._runtime.log.warning(
            f"== CRITICAL == This replica is sending an error to its master: '{text}' after processing the command "
            f"'{name}'"
        )
