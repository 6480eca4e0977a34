"""What happens in a cluster, read off the log lines of its programs: the one place that knows their words.

A real process writes its lines to a file, a simulated one to the trace; here both come as a `Line`. Most lines say
nothing that a timeline would show. Those that do become an `Event`, which has a kind and a subject: what two runs have
in common, whoever said it first. `who` and `detail` are what they may differ in.

Of what several say (each sentinel finds the same master down), the first is the event, until a fault strikes or
somebody is promoted; votes are all events.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from lab.chaos.roster import Roster

# Who strikes, in log lines and timelines.
NEMESIS = "nemesis"


@dataclass(frozen=True, slots=True)
class Line:
    """A log line, with its sign and without date and pid: `# +odown master shard-0 ...`."""

    # Seconds from the beginning of the clients' work.
    at: float
    # A seat, or the nemesis.
    who: str
    text: str


class Kind(StrEnum):
    """What an event is; the value is how a timeline says it, `{}` being the subject."""

    STRUCK = "fault: {}"
    MENDED = "over: {}"
    WOKE = "{} notices that it stood still, and listens first"
    STANDS_BACK = "{} has lost data, and waits for a replica to take over"
    SILENT = "{}: the master does not answer (+sdown)"
    FAILING = "{} does not answer (PFAIL, FAIL)"
    DOWN = "{}: enough agree that the master is down (+odown)"
    WELL = "{}: the master answers again"
    CANDIDATE = "{}: somebody stands for election"
    VOTE = "vote"
    ELECTED = "{}: a leader is elected"
    PROMOTED = "{}: a replica becomes master"
    SWITCHED = "{}: sentinels announce the new master"
    GIVEN_UP = "{}: failover given up"
    STOPS_SERVING = "{} stops serving (cluster_state:fail)"
    SERVES = "{} serves again (cluster_state:ok)"
    DEMOTED = "{} becomes a replica"
    ENDED = "{} has ended"
    STARTED = "{} has started again"
    SYNCED = "{} is a replica in step again"
    TILT = "{} does not trust its clock (+tilt)"
    CALM = "{} trusts its clock again (-tilt)"
    # What clients see (`lab.chaos.clients`).
    ERRORS = "{}: errors of clients begin"
    ERRORS_END = "{}: errors of clients end"
    WRITES = "{}: first write again"
    WHOLE = "the cluster is whole"

    def about(self, subject: str) -> str:
        """The event in words."""
        return self.value.format(subject)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    at: float
    who: str
    kind: Kind
    # A shard, a seat, or the fault: what the event is about, in whatever world.
    subject: str = ""
    # What is particular to this run.
    detail: str = ""

    @property
    def text(self) -> str:
        return self.kind.about(self.subject)


# What is said by several, and is one event.
_SAID_ONCE = (Kind.SILENT, Kind.FAILING, Kind.DOWN, Kind.WELL, Kind.SWITCHED)


class Reader:
    """Makes events of lines, in their order, and keeps the roster."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        # Faults by number: what, and to whom.
        self._strikes: dict[str, tuple[str, str]] = {}
        # What has been said since the last fault or promotion.
        self._said: dict[tuple[Kind, str], None] = {}

    def read(self, line: Line) -> Event | None:
        """The event that a line tells, if it tells one."""
        event = self._nemesis(line) if line.who == NEMESIS else self._told(line)
        if event is None:
            return None
        if event.kind in _SAID_ONCE:
            if (event.kind, event.subject) in self._said:
                return None
            self._said[event.kind, event.subject] = None
        elif event.kind in (Kind.STRUCK, Kind.MENDED, Kind.PROMOTED):
            self._said.clear()
        if event.kind is Kind.PROMOTED:
            self._roster.masters[event.subject] = event.who
        return event

    def _nemesis(self, line: Line) -> Event | None:
        struck = _STRUCK.fullmatch(line.text)
        if struck is not None:
            self._strikes[struck[1]] = struck[2], struck[3]
            return Event(line.at, line.who, Kind.STRUCK, struck[2], struck[3])
        mended = _MENDED.match(line.text)
        return Event(line.at, line.who, Kind.MENDED, *self._strikes[mended[1]]) if mended is not None else None

    def _told(self, line: Line) -> Event | None:
        for pattern, kind, subject, detail in _LINES:
            match = pattern.match(line.text, 2)
            if match is not None:
                said = _Said(line.who, match, self._roster)
                return Event(line.at, line.who, kind, subject(said), detail(said))
        return None


@dataclass(frozen=True, slots=True)
class _Said:
    """A line that was recognized."""

    who: str
    match: re.Match[str]
    roster: Roster


_Part = Callable[[_Said], str]


def _speaker(said: _Said) -> str:
    return said.who


def _speakers_shard(said: _Said) -> str:
    return said.roster.shard_of(said.who)


def _group(said: _Said) -> str:
    return said.match[1]


def _seat(said: _Said) -> str:
    return said.roster.name(said.match[1])


def _votes(said: _Said) -> str:
    return f"for {said.roster.name(said.match[1])}"


def _of(said: _Said) -> str:
    return f"of {said.roster.name(said.match[1])}"


def _heir(said: _Said) -> str:
    return said.roster.name(said.match[2])


def _nothing(_: _Said) -> str:
    return ""


_STRUCK = re.compile(r"strikes #(\d+) (\S+) (.*) for [\d.]+ s")
_MENDED = re.compile(r"mends #(\d+) ")
# What the programs say (after the sign of the level), what it means, what it is about, and the rest.
_LINES: tuple[tuple[re.Pattern[str], Kind, _Part, _Part], ...] = tuple(
    (re.compile(pattern), kind, subject, detail)
    for pattern, kind, subject, detail in (
        (r"\+sdown master (\S+)", Kind.SILENT, _group, _nothing),
        (r"\+odown master (\S+)", Kind.DOWN, _group, _nothing),
        (r"-odown master (\S+)", Kind.WELL, _group, _nothing),
        (r"\+try-failover master (\S+)", Kind.CANDIDATE, _group, _nothing),
        (r"\+vote-for-leader (\w+) \d+", Kind.VOTE, _nothing, _votes),
        (r"\+elected-leader master (\S+)", Kind.ELECTED, _group, _nothing),
        (r"\+switch-master (\S+) \S+ \d+ (\S+ \d+)", Kind.SWITCHED, _group, _heir),
        (r"-failover-abort-\S+ master (\S+)", Kind.GIVEN_UP, _group, _nothing),
        (r"\+tilt", Kind.TILT, _speaker, _nothing),
        (r"-tilt", Kind.CALM, _speaker, _nothing),
        (r"Sentinel ID is", Kind.STARTED, _speaker, _nothing),
        (r"Marking node (\w+)(?: \(.+\))? as failing", Kind.FAILING, _seat, _nothing),
        (r"FAIL message received from \w+ about (\w+)", Kind.FAILING, _seat, _nothing),
        (r"Starting a failover election", Kind.CANDIDATE, _speakers_shard, _nothing),
        (r"Failover auth granted to (\w+)", Kind.VOTE, _nothing, _votes),
        (r"(?:Failover election won|Taking over the master)", Kind.PROMOTED, _speakers_shard, _nothing),
        (r"Configuration change detected. Reconfiguring myself as a replica of (\w+)", Kind.DEMOTED, _speaker, _of),
        (r"This process was stopped for", Kind.WOKE, _speaker, _nothing),
        (r"I have lost data that replica", Kind.STANDS_BACK, _speaker, _nothing),
        (r"Cluster state changed: fail", Kind.STOPS_SERVING, _speaker, _nothing),
        (r"Cluster state changed: ok", Kind.SERVES, _speaker, _nothing),
        (r"Ready to accept connections", Kind.STARTED, _speaker, _nothing),
        (r"\w+ is now ready to exit, bye bye", Kind.ENDED, _speaker, _nothing),
        (r"Successful partial resync", Kind.SYNCED, _speaker, _nothing),
        (r"MASTER <-> REPLICA sync: Finished with success", Kind.SYNCED, _speaker, _nothing),
    )
)
