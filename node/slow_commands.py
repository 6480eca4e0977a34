"""Commands that took long: told to the slow log and to the latency monitor; and samples of all others.

The executor holds each run against one threshold of its command (`Command.notice_ns`), and comes here with what
reaches that: everything while runs are sampled for the distribution of their durations, then only what is slow.
"""

from __future__ import annotations

from node.latency import LatencyMonitor
from node.session import NodeSession
from node.slowlog import SlowLog
from wire.command import FAST
from wire.durations import LONG_NS
from wire.table import Command, CommandTable

# With a threshold below this, every command is timed, and by itself.
BRIEF_NS = 1_000_000


class SlowCommands:
    """The threshold, and who is told."""

    __slots__ = ("_latency", "_slow_log", "_table", "threshold_ns")

    def __init__(self, table: CommandTable, slow_log: SlowLog, latency: LatencyMonitor) -> None:
        self._table = table
        self._slow_log = slow_log
        self._latency = latency
        # The lower of the two thresholds.
        self.threshold_ns = 0
        self.configured()

    def configured(self) -> None:
        """A threshold is another one, or distributions are kept, or not any more."""
        self.threshold_ns = min(self._slow_log.threshold_ns, self._latency.threshold_ns)
        for command in self._table.every():
            command.settle()

    def notice(self, session: NodeSession, command: Command, argv: list[bytes], took_ns: int, runs: int = 1) -> None:
        """`command` ran that long; or several of them did, one behind the other, which are not slow."""
        self._table.noticed[command] = None
        if not command.durations.sample(took_ns if runs == 1 else took_ns // runs, runs):
            # The executor must look at the clock again behind what was long.
            command.notice_ns = min(self.threshold_ns, LONG_NS)
            command.timed = not command.brief_words or self.threshold_ns < BRIEF_NS
        if runs == 1:
            self.note_slow(session, command, argv, took_ns)

    def note_slow(self, session: NodeSession, command: Command, argv: list[bytes], took_ns: int) -> None:
        """It took that long to run it, or only to make its reply."""
        if took_ns >= self.threshold_ns:
            self._latency.note("fast-command" if command.flags & FAST else "command", took_ns)
            self._slow_log.note(session, command, argv, took_ns)

    def note_start(self, command: Command) -> None:
        """A command has parked its client: it has been called, and nobody knows yet how long it takes."""
        command.durations.omitted += 1
        self._table.noticed[command] = None

    def note_end(self, session: NodeSession, command: Command, argv: list[bytes], took_ns: int) -> None:
        """A command that had parked its client has ended after so long."""
        self._finish("command", session, command, argv, took_ns)

    def note_served(self, session: NodeSession, command: Command, argv: list[bytes], took_ns: int) -> None:
        """It took that long to serve a client that had waited."""
        self._finish("command-unblocking", session, command, argv, took_ns)

    def _finish(self, event: str, session: NodeSession, command: Command, argv: list[bytes], took_ns: int) -> None:
        command.timed_ns += took_ns
        command.durations.finish(took_ns)
        self._latency.note(event, took_ns)
        self._slow_log.note(session, command, argv, took_ns)
