"""Client-side caching: who has read which key, and who must be told that it has changed.

Two modes, as in Redis ("Client-side caching"). By default the node remembers which client read which key, and tells it
once when the key changes. In broadcasting mode it remembers nothing, and tells a client of every change of a key with
one of its prefixes. Messages are collected and go out at the end of the loop's turn, behind the replies: a client that
reads a value and the word that it is outdated in this order drops it, and in the other order would keep it. Of what it
has read and now changes itself, a client is told behind that command's reply.

Each database has the readers of its own keys (`Database.readers`), and tells of a change as it tells those who sent
WATCH, so a client that tracks nothing costs nobody anything. They are many: a million keys by default. So a database
that is emptied lets go of all at once, and a smaller limit is brought about in portions.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

from node.database import Database
from node.gates import TRACKING
from node.keyspace import Keyspace
from node.session import NodeSession, Tracked
from wire.clients import Clients
from wire.command import NOSCRIPT, READONLY
from wire.reply import NIL_ARRAY, Push, Reply
from wire.table import Command
from wire.turn import Turn

_CHANNEL = b"__redis__:invalidate"
# How many keys beyond the limit are forgotten at a time, and how long clients have until the next portion.
_PORTION: Final = 1000
_PAUSE_S: Final = 0.001


class Tracking:
    """All clients that track, and what they have read."""

    __slots__ = (
        "_changed",
        "_clients",
        "_keyspace",
        "_max_keys",
        "_outdated",
        "_prefixes",
        "_running",
        "_timer",
        "_turn",
        "item_count",
        "key_count",
    )

    def __init__(self, keyspace: Keyspace, clients: Clients[NodeSession], turn: Turn) -> None:
        self._keyspace = keyspace
        keyspace.tracker = self
        self._clients = clients
        self._turn = turn
        # Keys that are remembered, and how often a client is among the readers of one.
        self.key_count = 0
        self.item_count = 0
        # Who hears of all keys that begin so.
        self._prefixes: dict[bytes, dict[NodeSession, None]] = {}
        # Told at the end of the turn: which client of which key (None: of all), and for broadcasts each key with the
        # client that changed it.
        self._outdated: list[tuple[NodeSession, bytes | None]] = []
        self._changed: dict[bytes, NodeSession | None] = {}
        # The tracking client whose command runs.
        self._running: NodeSession | None = None
        # `tracking-table-max-keys`; 0: no limit.
        self._max_keys = 1_000_000
        # Goes on forgetting what is beyond it.
        self._timer: asyncio.TimerHandle | None = None

    # ---- for INFO

    @property
    def client_count(self) -> int:
        return sum(session.tracked is not None for session in self._clients)

    @property
    def prefix_count(self) -> int:
        return len(self._prefixes)

    # ---- on and off

    def start(self, session: NodeSession, tracked: Tracked) -> None:
        """CLIENT TRACKING ON, or once more with more prefixes."""
        session.tracked = tracked
        session.mask |= TRACKING
        for prefix in tracked.prefixes:
            self._prefixes.setdefault(prefix, {})[session] = None
        self._observe()

    def stop(self, session: NodeSession) -> None:
        """CLIENT TRACKING OFF, or the client is gone. What it has read is forgotten as it changes."""
        if session.tracked is None:
            return
        for prefix in session.tracked.prefixes:
            sessions = self._prefixes[prefix]
            del sessions[session]
            if not sessions:
                del self._prefixes[prefix]
        session.tracked = None
        session.mask &= ~TRACKING
        self._observe()

    def limit(self, keys: int) -> None:
        """`tracking-table-max-keys`."""
        self._max_keys = keys
        self._limit()

    def _observe(self) -> None:
        self._keyspace.observe(self if self._prefixes else None)

    # ---- what clients read

    def run(self, session: NodeSession, run: Callable[[], Any], command: Command, argv: list[bytes]) -> Any:
        """Run a command of a tracking client, and remember what it read."""
        self._running = session
        try:
            return run()
        finally:
            self._running = None
            tracked = session.tracked
            if tracked is not None:
                self.read(session, session.call.db, command, argv)
                # CLIENT CACHING holds for the next command.
                if not command.name.startswith("client"):
                    tracked.caching = None
            if self._outdated:
                self._send_own(session)

    def resume(self, session: NodeSession, caching: bool | None, run: Callable[[], Reply]) -> Reply:
        """Go on with a client's script that was interrupted; `caching` is what the client had said before it."""
        if session.tracked is None:
            return run()
        session.tracked.caching = caching
        self._running = session
        try:
            return run()
        finally:
            self._running = None
            if session.tracked is not None:
                session.tracked.caching = None
            if self._outdated:
                self._send_own(session)

    def read(self, session: NodeSession, database: Database, command: Command, argv: list[bytes]) -> None:
        """A command of a tracking client, or of its transaction, has read its keys."""
        # What runs a script has read what the script reads.
        if not command.flags & NOSCRIPT and self._remembers(session, command):
            self._remember(session, database, command, argv)

    def read_in_script(self, session: NodeSession, database: Database, command: Command, argv: list[bytes]) -> None:
        """A command of its script has: its keys, as in Redis 7.2, and those that were named for the script, as in 7.0.

        A client that is told of more than it has read only asks once more; of less, and what it keeps is wrong.
        """
        if self._remembers(session, command):
            self._remember(session, database, command, argv)
            self._remember(session, database, session.call.command, session.call.argv)

    @staticmethod
    def _remembers(session: NodeSession, command: Command) -> bool:
        tracked = session.tracked
        return tracked is not None and not tracked.broadcast and bool(command.flags & READONLY) and tracked.remembers

    def _remember(self, session: NodeSession, database: Database, command: Command, argv: list[bytes]) -> None:
        for place in command.spec.keys_in(argv):
            key = argv[place]
            remembered = database.readers
            if remembered is None:
                # Ordered, for the first is found at once even after many have left (in a dict they leave holes).
                remembered = OrderedDict()
                database.remember(remembered)
            readers = remembered.get(key)
            if readers is None:
                readers = remembered[key] = {}
                self.key_count += 1
            if session not in readers:
                readers[session] = None
                self.item_count += 1
        if self._max_keys and self.key_count > self._max_keys:
            self._limit()

    def _limit(self) -> None:
        """Forget keys that were read first, where there are too many; their readers are told that they changed."""
        left = min(self.key_count - self._max_keys, _PORTION) if self._max_keys else 0
        for database in self._keyspace.databases():
            while left > 0 and database.readers:
                left -= 1
                key, readers = database.readers.popitem(last=False)
                self._tell(readers, key)
                self._forgotten(1, len(readers))
            if not database.readers:
                database.remember(None)
        if self._timer is None and self._max_keys and self.key_count > self._max_keys:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE_S, self._limit_on)

    def _limit_on(self) -> None:
        self._timer = None
        self._limit()

    def _forgotten(self, keys: int, items: int) -> None:
        self.key_count -= keys
        self.item_count -= items

    # ---- what changes

    def touched(self, database: Database, key: bytes, *, gone: bool) -> None:  # noqa: ARG002 - a change is a change
        """A key was changed (a `node.database.Watcher`)."""
        readers = None if database.readers is None else database.readers.get(key)
        if readers:
            self._tell([reader for reader in readers if not self._is_own(reader)], key)
            # Told once.
            self._forgotten(1, len(readers))
            assert database.readers is not None
            del database.readers[key]
            if not database.readers:
                database.remember(None)
        if self._prefixes:
            self._changed[key] = self._running
            self._turn.once(self._end_turn)

    def _is_own(self, session: NodeSession) -> bool:
        return session is self._running and session.tracked is not None and session.tracked.no_loop

    def _tell(self, readers: Iterable[NodeSession], key: bytes) -> None:
        """What a client read before it went over to broadcasts does not concern it any more."""
        self._outdated += [(reader, key) for reader in readers if reader.tracked and not reader.tracked.broadcast]
        self._turn.once(self._end_turn)

    def swapped(self) -> None:
        """Two databases are about to be exchanged: not a million readers are told of a key each."""
        if self.key_count > _PORTION:
            self.flushed()

    def flushed(self) -> None:
        """All keys are gone, or those of a database: every tracking client forgets everything."""
        bury = self._keyspace.bury
        for database in self._keyspace.databases():
            if database.readers is not None:
                if bury is not None:
                    bury(database.readers, 0)
                database.remember(None)
        self.key_count = self.item_count = 0
        self._outdated += [(session, None) for session in self._clients if session.tracked is not None]
        self._turn.once(self._end_turn)

    def send_outdated(self) -> None:
        """Tell clients now of keys that they have read.

        What was evicted to make room for a command is told before its reply, which may be about the key's next value.
        """
        if self._outdated:
            outdated, self._outdated = self._outdated, []
            for session, key in outdated:
                self._send(session, NIL_ARRAY if key is None else [key])

    def _send_own(self, session: NodeSession) -> None:
        """Tell a client of what its own command has changed: behind the reply, in front of what it reads next."""
        outdated, self._outdated = self._outdated, []
        for reader, key in outdated:
            if reader is session:
                self._send(reader, NIL_ARRAY if key is None else [key])
            else:
                self._outdated.append((reader, key))

    # ---- at the end of the turn

    def _end_turn(self) -> None:
        """Send what has been collected."""
        self.send_outdated()
        if self._changed:
            changed, self._changed = self._changed, {}
            for prefix, sessions in self._prefixes.items():
                keys = [key for key in changed if key.startswith(prefix)]
                for session in sessions if keys else ():
                    self._broadcast(session, keys, changed)

    def _broadcast(self, session: NodeSession, keys: list[bytes], changed: dict[bytes, NodeSession | None]) -> None:
        if session.tracked is not None and session.tracked.no_loop:
            keys = [key for key in keys if changed[key] is not session]
        if keys:
            self._send(session, keys)

    def _send(self, session: NodeSession, keys: Any) -> None:
        """Tell a client, or the one that it chose to be told in its place."""
        tracked = session.tracked
        if tracked is None:
            return
        target: NodeSession | None = session
        if tracked.redirect:
            target = self._clients.by_id.get(tracked.redirect)
            if target is None:
                tracked.broken = True
                if session.proto == 3:
                    session.push(Push([b"tracking-redir-broken", tracked.redirect]))
                return
        assert target is not None
        if target.proto == 3:
            target.push(Push([b"invalidate", keys]))
        elif tracked.redirect and target.subscriptions:
            # RESP2 knows no pushes: it looks like a message of a channel that the client has subscribed to.
            target.push(Push([b"message", _CHANNEL, keys]))
