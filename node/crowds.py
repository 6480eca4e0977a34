"""Crowds: the same command from many clients in one turn, run in one go.

A client that waits for each reply sends one command at a time; but when many do, many commands come in one turn of the
loop, often alike, and none is answered before the turn's end (`wire.turn`). So when the last turn had several, those of
this one that look alike are put off until its end. There they are read together, as if they were one pipeline
(`wire.shapes`), and run together (`node.stretches`): what stands around a command, which is most of what it costs, is
paid once. The clients have no reply yet, so none of them can say which command came first.

What does not fit is run as if it had just come: too few of a shape, clients that may do different things, commands that
are not ordinary.
"""

from __future__ import annotations

from typing import cast

from node.execute import Executor
from node.session import ELSEWHERE, NodeSession
from wire.connection import Connection
from wire.decoder import Batch
from wire.encoder import NIL_2, NIL_3
from wire.singles import Crowd
from wire.table import StretchNotes
from wire.turn import Turn

# Fewer commands than this are run one by one.
_TOGETHER_MIN = 2
# Who has run many commands together may gather so many in vain before it rests.
_CREDIT_MAX = 100


class Crowds:
    """Those of one node."""

    __slots__ = ("_executor", "_gathered", "_resting", "_turn")

    def __init__(self, executor: Executor, turn: Turn) -> None:
        self._executor = executor
        self._turn = turn
        # Those of this turn, in the order of their first commands.
        self._gathered: list[Crowd] = []
        # By the length of the command: those that gathered in vain, and do not until the next tick.
        self._resting: list[int] = []

    def gather(self, crowd: Crowd) -> None:
        """The first command of a crowd has come."""
        turn = self._turn
        if not turn.begun:
            turn.begin()
        self._gathered.append(crowd)
        turn.put_off = self._run

    def tick(self) -> None:
        """From time to time: try again what could not be run together."""
        singles = self._executor.singles
        for size in self._resting:
            single = singles.by_size[size]
            singles.crowds[size] = single.crowd if single is not None else None
        self._resting.clear()

    def _run(self) -> None:
        turn = self._turn
        turn.put_off = None
        if not turn.begun:
            turn.begin()
        # What is run one by one now must not be put off again.
        turn.crowded = False
        gathered, self._gathered = self._gathered, []
        for crowd in gathered:
            senders, chunks = crowd.senders, crowd.chunks
            crowd.senders, crowd.chunks = [], []
            done = self._run_together(crowd, senders, chunks)
            crowd.credit = min(crowd.credit + done, _CREDIT_MAX) - (len(senders) - done)
            if crowd.credit < 0:
                crowd.credit = 0
                self._executor.singles.crowds[crowd.size] = None
                self._resting.append(crowd.size)
            for at in range(done, len(senders)):
                sender = senders[at]
                session = sender.session
                if session is not None:
                    sender.look(session)
                    sender.data_received(chunks[at])

    def _run_together(self, crowd: Crowd, senders: list[Connection], chunks: list[bytes]) -> int:
        """Run as many commands as can be run in one go, from the first on; returns how many those were."""
        if len(senders) < _TOGETHER_MIN:
            return 0
        data = b"".join(chunks)
        columns = crowd.columns(data)
        if columns is None:
            return 0
        # All are there: that a connection is lost is said in a turn of the loop's own.
        sessions = cast(list[NodeSession], [sender.session for sender in senders])
        first = sessions[0]
        mask = first.mask
        if mask & (crowd.command.gates | ELSEWHERE):
            return 0
        now_ms, name = self._executor.keyspace.now_ms, crowd.command.name
        for session in sessions:
            if session.mask != mask:
                return 0
            session.last_seen_ms = now_ms
            session.last_command = name
        out = first.out
        if out:
            return 0
        offset = first.write_offset
        batch = Batch([], data, columns=columns, stride=crowd.size)
        done = self._executor.run_stretch(first, batch, 0, StretchNotes(apart=True))
        if done <= 0:
            return 0
        replies = out.copy()
        out.clear()
        nil = NIL_2 if first.proto == 2 else NIL_3
        if nil in replies:
            for at, reply in enumerate(replies):
                if reply == nil:
                    replies[at] = NIL_2 if sessions[at].proto == 2 else NIL_3
        assert len(replies) == done, "a reply for each"
        if first.write_offset != offset:
            offset = first.write_offset
            for session in sessions[:done]:
                session.write_offset = offset
        self._turn.bytes_in += done * crowd.size
        self._answer(senders, replies)
        return done

    def _answer(self, senders: list[Connection], replies: list[bytes]) -> None:
        """Have the first of them answered."""
        turn = self._turn
        if not turn.waiting:
            turn.replies.update(zip(senders, replies, strict=False))
            return
        for sender, reply in zip(senders, replies, strict=False):
            session = sender.session
            assert session is not None
            if session.out:
                # Behind what has been pushed.
                session.out.append(reply)
                sender.look(session)
            else:
                turn.replies[sender] = reply
