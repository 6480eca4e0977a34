"""The end of the loop's turn: log first, then replies.

Everything that connections execute in one turn of the loop is answered at its end, after the steps
registered here have run: the log's write, then the replication stream. So no reply leaves before the log,
one system call serves a whole turn (group commit), and each connection is written to once. What is the same for all
commands of a turn (the time above all) is looked up in front of the first one (`begin`).

A turn can be held back (`hold_s`) while it is not known whether what was executed still counts: a node that was stopped
in the middle of it may have been replaced. Then it goes out late, or is discarded, and its clients learn that
they do not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wire.connection import Connection

# So many commands that came by themselves make a crowd, and after so many turns without one none is expected. Clients
# who were answered together come together, too, but for one or two that are quicker and have a turn before them.
_CROWD_MIN = 4
_CALM_MIN = 4


class Flushable(Protocol):
    def flush(self) -> None: ...

    def abort(self) -> None: ...


class Turn:
    """Collects what must happen before the loop sleeps."""

    __slots__ = (
        "_asked",
        "_at_end",
        "_call_soon",
        "_calm",
        "_doubtful",
        "_loop",
        "_scheduled",
        "_timer",
        "begun",
        "bytes_in",
        "bytes_out",
        "crowded",
        "hold_s",
        "openings",
        "put_off",
        "replies",
        "steps",
        "together",
        "waiting",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # Looked up once.
        self._call_soon = loop.call_soon
        self._at_end: Callable[[], None] = self._end
        self._scheduled = False
        # Connections with output, in order of their first output of the turn.
        self.waiting: dict[Flushable, None] = {}
        # Replies that are all that their connections have to send, and that these have not collected. None of these is
        # ready for another command of that kind until its reply has left.
        self.replies: dict[Connection, bytes] = {}
        # The same for connections whose commands ran together, and a reply for each of them.
        self.together: list[tuple[list[Connection], list[bytes]]] = []
        # How many bytes that was since the start; and how many came that their connections have not counted.
        self.bytes_out = 0
        self.bytes_in = 0
        # Whether one of the last turns had several of these: then there may be as many in this one, and commands that
        # are alike can be put off until its end, to be run together. What runs them, while there are some.
        self.crowded = False
        self.put_off: Callable[[], None] | None = None
        # Whether commands have run in this turn. Never while it is held back: that may take long.
        self.begun = False
        # What comes before the first command, in this order.
        self.openings: list[Callable[[], None]] = []
        # What comes before replies: what was asked for in this turn (`once`), then, in this order, what always does.
        self._asked: dict[Callable[[], None], None] = {}
        self.steps: list[Callable[[], None]] = []
        # Asked at the end of each turn: for how many seconds nothing may leave.
        self.hold_s: Callable[[], float] | None = None
        # The connections whose commands ran before the doubt came up; None while there is none.
        self._doubtful: list[Flushable] | None = None
        # How many turns ago there was a crowd.
        self._calm = _CALM_MIN
        # When a turn that is held back is tried again.
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The turn's first command is about to run, and its end will come."""
        for opening in self.openings:
            opening()
        self.begun = self._timer is None
        self.request()

    def reply(self, connection: Flushable) -> None:
        """Flush `connection` at the end of this turn."""
        self.waiting[connection] = None
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._at_end)

    def request(self) -> None:
        """Run the steps at the end of this turn even if nobody is to be answered."""
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._look_again if self.crowded else self._at_end)

    def once(self, step: Callable[[], None]) -> None:
        """Run `step` at the end of this turn, in front of those that always run."""
        self._asked[step] = None
        self.request()

    def doubt(self) -> None:
        """It is not known whether what ran in this turn so far counts; what runs from now on knows of the doubt."""
        self.spread()
        if self._doubtful is None and (self.waiting or self.replies):
            self._doubtful = [*self.waiting, *self.replies]

    def spread(self) -> None:
        """Have the replies of those whose commands ran together where each is found by its connection."""
        for connections, replies in self.together:
            self.replies.update(zip(connections, replies, strict=True))
        self.together.clear()

    def discard(self) -> None:
        """What ran in doubt does not count: hang up on those who wait for its replies."""
        self.doubt()
        for connection in self._doubtful or ():
            self.waiting.pop(connection, None)
            connection.abort()
        self._doubtful = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._call_soon(self._at_end)

    def _look_again(self) -> None:
        """End the turn once the sockets have been looked at once more.

        A crowd comes one client behind the other, as they were answered: while the first were read, others have come.
        """
        self._call_soon(self._at_end)

    def _end(self) -> None:
        wait_s = self.hold_s() if self.hold_s is not None else 0.0
        if wait_s > 0:
            self.doubt()
            # What has been put off runs now, and knows of the doubt and of the time that has passed.
            self.begun = False
        if self.put_off is not None:
            self.put_off()
        self.begun = False
        if wait_s > 0:
            self.crowded = False
            self._timer = self._loop.call_later(wait_s, self._at_end)
            return
        self._timer = None
        self._doubtful = None
        self._scheduled = False
        if self._asked:
            asked, self._asked = self._asked, {}
            for step in asked:
                step()
        for step in self.steps:
            step()
        replies = self.replies
        together = self.together
        if together or len(replies) >= _CROWD_MIN:
            self._calm = 0
        elif self._calm < _CALM_MIN:
            self._calm += 1
        self.crowded = self._calm < _CALM_MIN
        size = 0
        if together:
            self.together = []
            for connections, answers in together:
                for at, connection in enumerate(connections):
                    answer = answers[at]
                    size += len(answer)
                    connection.ready = True
                    connection.transport.write(answer)
        if replies:
            self.replies = {}
            for connection, reply in replies.items():
                size += len(reply)
                connection.ready = True
                connection.transport.write(reply)
        self.bytes_out += size
        waiting = self.waiting
        if not waiting:
            return
        self.waiting = {}
        for flushable in waiting:
            flushable.flush()
