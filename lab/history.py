"""What the clients of a run did and saw, and what was done to the cluster meanwhile: the checkers' only evidence.

A history is a file of JSON lines that is only ever appended to, in the order in which things happened:

    {"shardlab_history": 1, "seed": 7, ...}                                            whatever describes the run
    {"at": 0.1, "begin": 17, "process": 3, "function": "write", "key": "r", "group": "shard-0", "argument": "3-17"}
    {"at": 0.2, "end": 17, "outcome": "ok", "result": null}
    {"at": 5.0, "moment": "fault", "name": "kill", "target": "node-0", "groups": ["shard-0"]}

An operation is written down before it is sent: if the recorder dies, what was under way has a beginning without an
end, and thus an unknown outcome, as it should. Nothing but the standard library is used here, so that the checkers can
judge histories from anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any, TypeAlias

VERSION = 1

# What JSON has. A set's members are a list of strings.
Value: TypeAlias = bool | int | float | str | list[Any] | None


class HistoryError(Exception):
    """This is not a history. The text says where and why, in one line."""


class Outcome(StrEnum):
    """What a client knows about what it asked for."""

    OK = "ok"
    # It definitely did not happen: refused, or never sent.
    FAIL = "fail"
    # It may have happened, or may happen yet, or never: no answer in time, or the connection broke after sending.
    UNKNOWN = "info"


class Kind(StrEnum):
    """Sorts of moments that checkers measure from."""

    # Something was broken, or mended.
    FAULT = "fault"
    HEALED = "healed"
    # A shard was seen to have another master.
    FAILOVER = "failover"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a client asked for."""

    # Which client; it does one thing at a time.
    process: int
    # read, write, cas (register) · incr, read (counter) · add, remove, contains, read (set)
    function: str
    key: str
    # write: the value · cas: [expected, new] · incr: by how much · add, remove, contains: the element
    argument: Value
    # In seconds from any one origin; between these two it happened, if it happened.
    invoked_at: float
    # When the client knew the outcome; None when it never did. An unknown operation may happen even after that.
    completed_at: float | None
    outcome: Outcome
    # What was answered; read: the value or None · cas, contains: true or false · add, remove: whether it changed the
    # set, or None if not told · incr: the new value
    result: Value = None
    # The shard or other group of keys that fail and recover together; may be empty.
    group: str = ""
    # The client asked for a replica's answer and accepts an old one.
    replica: bool = False
    # Who answered, where that is known.
    node: str = ""
    # Why it failed, in somebody's words.
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def latest(self) -> float:
        """Until when it can have taken effect: its answer if there is one, else for ever."""
        return self.completed_at if self.completed_at is not None and self.ok else float("inf")

    def __str__(self) -> str:
        end = f"{self.completed_at:.4f}" if self.completed_at is not None else "never"
        asked = "" if self.argument is None else f" {json.dumps(self.argument)}"
        seen = f" -> {json.dumps(self.result)}" if self.ok and self.result is not None else ""
        whose = f"{self.invoked_at:.4f}..{end} client {self.process}"
        return f"{whose}: {self.function} {self.key}{asked}{seen} [{self.outcome.value}]"


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that was done to the cluster, or seen in it."""

    at: float
    kind: Kind
    # kill, pause, cut ...; for a failover the new master.
    name: str = ""
    # Which process; for a failover the old master.
    target: str = ""
    # The groups of keys that it concerns; none means all.
    groups: tuple[str, ...] = ()

    def concerns(self, group: str) -> bool:
        return not self.groups or group in self.groups


@dataclass(frozen=True, slots=True)
class History:
    """A whole run."""

    operations: list[Operation]
    moments: list[Moment] = field(default_factory=list)
    # The first line: seed, sizes, whatever the recorder knew.
    about: dict[str, Any] = field(default_factory=dict)

    def by_key(self) -> dict[str, list[Operation]]:
        keys: dict[str, list[Operation]] = {}
        for operation in self.operations:
            keys.setdefault(operation.key, []).append(operation)
        return keys

    def groups(self) -> list[str]:
        return sorted({operation.group for operation in self.operations})

    def of_kind(self, kind: Kind, group: str | None = None) -> list[Moment]:
        """Moments of that kind that concern the group (or any), in order of time."""
        wanted = [m for m in self.moments if m.kind is kind and (group is None or m.concerns(group))]
        return sorted(wanted, key=lambda moment: moment.at)


class Recorder:
    """Writes a history as it happens; the time is the caller's."""

    __slots__ = ("_begun", "_file", "_now", "_origin")

    def __init__(self, file: IO[str], now: Callable[[], float], **about: Value) -> None:
        self._file = file
        self._now = now
        # Times are counted from here, so that two runs of one simulation have the same.
        self._origin = now()
        # Operations begun so far: the number of the next.
        self._begun = 0
        self._write({"shardlab_history": VERSION, **about})

    def begin(
        self, process: int, function: str, key: str, argument: Value = None, *, group: str = "", replica: bool = False
    ) -> int:
        """Note that an operation is about to be sent; returns its number."""
        number, self._begun = self._begun, self._begun + 1
        line = {"at": self.now(), "begin": number, "process": process, "function": function, "key": key}
        self._write(line | _without_defaults(argument=argument, group=group, replica=replica))
        return number

    def end(self, number: int, outcome: Outcome, result: Value = None, *, node: str = "", error: str = "") -> None:
        """Note what came of it."""
        line = {"at": self.now(), "end": number, "outcome": outcome.value, "result": result}
        self._write(line | _without_defaults(node=node, error=error))

    def moment(
        self, kind: Kind, name: str = "", target: str = "", groups: Iterable[str] = (), *, at: float | None = None
    ) -> None:
        """Note something that was done or seen: now, or at a time that is only known by now."""
        line = {"at": self.now() if at is None else round(at, 6), "moment": kind.value, "name": name}
        self._write(line | _without_defaults(target=target, groups=list(groups)))

    def now(self) -> float:
        """The time that the next line would have."""
        return round(self._now() - self._origin, 6)

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")


def _without_defaults(**fields: Value) -> dict[str, Value]:
    # `0 == False`, so the values themselves are not enough to tell an argument of 0 from no argument.
    return {name: value for name, value in fields.items() if value is not None and value is not False and value != ""}


def read(lines: Iterable[str]) -> History:
    """The history in a file's lines; raises HistoryError. A torn last line, as a crash leaves it, is passed over."""
    numbered = iter(enumerate(lines, 1))
    about = _header(numbered)
    begun: dict[int, tuple[dict[str, Any], dict[str, Any] | None]] = {}
    moments: list[Moment] = []
    for number, text in numbered:
        line = _parse(number, text)
        if line is None:
            continue
        try:
            _take(line, begun, moments)
        except (KeyError, TypeError, ValueError) as error:
            raise HistoryError(f"line {number}: {type(error).__name__}: {error}") from None
    operations = [_operation(begin, end) for begin, end in begun.values()]
    _check_one_at_a_time(operations)
    return History(operations, moments, about)


def _header(numbered: Iterator[tuple[int, str]]) -> dict[str, Any]:
    first = next(numbered, None)
    line = _parse(*first) if first is not None else None
    if line is None or line.get("shardlab_history") != VERSION:
        raise HistoryError(f"line 1: not a history of version {VERSION}")
    del line["shardlab_history"]
    return line


def _parse(number: int, text: str) -> dict[str, Any] | None:
    if not text.endswith("\n"):
        # Written with its newline or not whole.
        return None
    try:
        line = json.loads(text)
    except ValueError as error:
        raise HistoryError(f"line {number}: {error}") from None
    if not isinstance(line, dict):
        raise HistoryError(f"line {number}: not an object")
    return line


def _take(
    line: dict[str, Any], begun: dict[int, tuple[dict[str, Any], dict[str, Any] | None]], moments: list[Moment]
) -> None:
    at = line["at"]
    if not isinstance(at, int | float):
        raise TypeError(f"'at' is {at!r}")
    if "begin" in line:
        if line["begin"] in begun:
            raise ValueError(f"operation {line['begin']} begins twice")
        _expect(line, process=int, function=str, key=str)
        begun[line["begin"]] = (line, None)
    elif "end" in line:
        begin, earlier = begun[line["end"]]
        if earlier is not None or at < begin["at"]:
            raise ValueError(f"operation {line['end']} ends twice, or before it begins")
        line["outcome"] = Outcome(line["outcome"])
        begun[line["end"]] = (begin, line)
    else:
        moments.append(
            Moment(
                at, Kind(line["moment"]), line.get("name", ""), line.get("target", ""), tuple(line.get("groups", ()))
            )
        )


def _expect(line: dict[str, Any], **types: type) -> None:
    for name, kind in types.items():
        if not isinstance(line[name], kind):
            raise TypeError(f"'{name}' is {line[name]!r}")


def _operation(begin: dict[str, Any], end: dict[str, Any] | None) -> Operation:
    end = end or {"at": None, "outcome": Outcome.UNKNOWN}
    return Operation(
        process=begin["process"],
        function=begin["function"],
        key=begin["key"],
        argument=begin.get("argument"),
        invoked_at=begin["at"],
        completed_at=end["at"],
        outcome=end["outcome"],
        result=end.get("result"),
        group=begin.get("group", ""),
        replica=begin.get("replica", False),
        node=end.get("node", ""),
        error=end.get("error", ""),
    )


def _check_one_at_a_time(operations: list[Operation]) -> None:
    """A client that began something while it waited for something else was two clients, or was recorded wrongly."""
    busy_until: dict[int, float] = {}
    for operation in sorted(operations, key=lambda operation: operation.invoked_at):
        free_at = busy_until.get(operation.process, float("-inf"))
        if operation.invoked_at < free_at:
            raise HistoryError(f"client {operation.process} does two things at once at {operation.invoked_at:g}")
        busy_until[operation.process] = float("inf") if operation.completed_at is None else operation.completed_at
