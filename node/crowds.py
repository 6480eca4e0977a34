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
from wire.table import STRETCH_MIN, StretchNotes
from wire.turn import Turn


class Crowds:
    """Those of one node."""

    __slots__ = ("_executor", "_gathered", "_notes", "_turn")

    def __init__(self, executor: Executor, turn: Turn) -> None:
        self._executor = executor
        self._turn = turn
        # Those of this turn, in the order of their first commands.
        self._gathered: list[Crowd] = []
        # Of the crowd that runs.
        self._notes = StretchNotes(apart=True)

    def gather(self, crowd: Crowd) -> None:
        """The first command of a crowd has come."""
        turn = self._turn
        if not turn.begun:
            turn.begin()
        self._gathered.append(crowd)
        turn.put_off = self._run

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
            if not crowd.settle(done, len(senders) - done):
                self._executor.singles.rest(crowd.size)
            if done < len(senders):
                _run_apart(senders[done:], chunks[done:])

    def _run_together(self, crowd: Crowd, senders: list[Connection], chunks: list[bytes]) -> int:
        """Run as many commands as can be run in one go, from the first on; returns how many those were."""
        if len(senders) < STRETCH_MIN:
            return 0
        data = b"".join(chunks)
        columns = crowd.shape.columns(data) or crowd.learn(data)
        if columns is None:
            return 0
        # All are there: that a connection is lost is said in a turn of the loop's own.
        sessions = cast("list[NodeSession]", [sender.session for sender in senders])
        first = sessions[0]
        mask = first.mask
        out = first.out
        command = crowd.command
        if out or mask & (command.gates | ELSEWHERE):
            return 0
        executor = self._executor
        keyspace = executor.keyspace
        now_ms, name = keyspace.now_ms, command.name
        for session in sessions:
            if session.mask != mask:
                return 0
            session.last_seen_ms = now_ms
            session.last_command = name
        dirty = keyspace.dirty
        notes = self._notes
        notes.unchanged = []
        notes.effects = b""
        notes.missing = False
        done = executor.run_alike(first, command, columns, notes)
        if done <= 0:
            return 0
        if done < len(senders):
            senders, sessions = senders[:done], sessions[:done]
        if keyspace.dirty != dirty and executor.propagation.active:
            if done < len(chunks) or notes.unchanged or notes.effects:
                data = notes.passed_on(Batch([], data, columns=columns, stride=crowd.size), 0, done)
            offset = executor.propagation.feed(first.call.db.index, data)
            for session in sessions:
                session.write_offset = offset
        first.out = []
        if notes.missing:
            _translate(out, sessions)
        turn = self._turn
        turn.bytes_in += done * crowd.size
        if turn.waiting:
            _answer_behind(turn, senders, out)
        else:
            turn.together.append((senders, out))
        return done


def _run_apart(senders: list[Connection], chunks: list[bytes]) -> None:
    """Run what had been gathered, and could not be run together."""
    for sender, chunk in zip(senders, chunks, strict=True):
        session = sender.session
        if session is not None:
            sender.look(session)
            sender.data_received(chunk)


def _translate(replies: list[bytes], sessions: list[NodeSession]) -> None:
    """Nulls are all those of the first client's protocol."""
    proto = sessions[0].proto
    nil, other = (NIL_2, NIL_3) if proto == 2 else (NIL_3, NIL_2)
    for at, session in enumerate(sessions):
        if session.proto != proto and replies[at] == nil:
            replies[at] = other


def _answer_behind(turn: Turn, senders: list[Connection], replies: list[bytes]) -> None:
    """Answer where some may have been pushed something in this turn already: that goes out first."""
    for sender, reply in zip(senders, replies, strict=True):
        session = sender.session
        assert session is not None
        if session.out:
            session.out.append(reply)
            sender.look(session)
        else:
            turn.replies[sender] = reply
