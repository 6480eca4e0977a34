"""What an atomic register, counter and set would do: the yardstick of the linearizability checker.

A model turns operations on one object into moves. A move has a step, from a state to the states that may follow it
(none if the operation cannot have had that result there), and what the search needs to know to leave hopeless ways
early: which state the operation proves to have been, which ones it may lead to. States are hashable. An operation of
unknown outcome has the same step without a result to compare with.

A rollback is a move too. Redis replicates asynchronously: at a failover a key may go back to something that it was a
short time before, and a checker that shall explain lost writes is given that move, once for each failover.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from lab.history import Operation, Value

State = Hashable
Step = Callable[[State], tuple[State, ...]]

_NEVER: tuple[State, ...] = ()
# A counter that may have lost more than this is not explained: the states to go back to are tried one by one.
_ROLLBACKS_MAX = 100_000


class ModelError(Exception):
    """The operations on a key are of no known kind, or their values make no sense. The text names the key."""


@dataclass(frozen=True, slots=True)
class Move:
    """An operation as a step."""

    step: Step
    # It never changes a state.
    looks: bool = False
    # The state that it leads to is seen by nobody: when it happens does not matter.
    unseen: bool = False
    # The one state in which it can have happened, where there is only one.
    sees: tuple[State, ...] = ()
    # The states that it may lead to, as far as they could be states that have been left before.
    makes: tuple[State, ...] = ()


class Span(NamedTuple):
    """When a failover can have taken place: what was written in between may be lost."""

    since: float
    # It was seen by then.
    until: float


class Model(ABC):
    """One kind of object."""

    name: ClassVar[str]
    initial: ClassVar[State]
    # Functions that change it.
    mutators: ClassVar[frozenset[str]]
    # Other functions than read that do not.
    looks: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def moves(self, operations: Sequence[Operation], *, goes_back: bool = False) -> list[Move]:
        """The operations as moves, in the same order; raises ModelError. `goes_back`: there are rollbacks, too."""

    @abstractmethod
    def rollbacks(self, operations: Sequence[Operation], spans: Sequence[Span]) -> list[Move]:
        """A move for each failover, in order of time: the object stays what it is, or goes back to anything that it may
        have been within the span, by an earlier failover even. None at all where that cannot be said."""


# Of unknown outcome, and nothing that was seen depends on it.
_SKIP = Move(lambda _: _NEVER)


class Unseen:
    """The value of a register that nobody read: any of them, for it makes no difference."""

    def __repr__(self) -> str:
        return "a value that nobody read"


UNSEEN = Unseen()


class Register(Model):
    """write, read, cas. It starts without a value, as None."""

    name = "register"
    initial = None
    mutators = frozenset({"write", "cas"})

    def moves(self, operations: Sequence[Operation], *, goes_back: bool = False) -> list[Move]:  # noqa: ARG002
        values = _SeenValues(operations)
        return [self._move(op, values) for op in operations]

    def _move(self, operation: Operation, values: _SeenValues) -> Move:
        match operation.function:
            case "write":
                value = values.of(single(operation, operation.argument))
                after = (value,)
                unseen = value is UNSEEN
                return Move(lambda _: after, unseen=unseen, makes=after) if operation.ok or not unseen else _SKIP
            case "cas":
                return _cas(operation)
            case _ if operation.ok:
                seen = single(operation, operation.result)
                return Move(lambda state: (state,) if state == seen else _NEVER, looks=True, sees=(seen,))
        return _SKIP

    def rollbacks(self, operations: Sequence[Operation], spans: Sequence[Span]) -> list[Move]:
        values = _SeenValues(operations)
        writes = written(operations)
        moves = []
        # What was overwritten by an acknowledged write that began then is not to come back.
        began = settled_at = float("-inf")
        for since, until in spans:
            lasting = (op.invoked_at for op, _ in writes if op.invoked_at > settled_at and op.latest < since)
            began = max([began, *lasting])
            past = {values.of(value): None for op, value in writes if op.latest >= began and op.invoked_at <= until}
            if began == float("-inf"):
                past[self.initial] = None
            moves.append(_back_to(tuple(past)))
            settled_at = until
        return moves


def _back_to(states: tuple[State, ...]) -> Move:
    return Move(lambda state: (state, *(other for other in states if other != state)), makes=states)


class _SeenValues:
    """Which values of a register anybody saw. All others are one and the same, unless there is a cas: if it failed, it
    saw what the value was not."""

    __slots__ = ("_all", "_seen")

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._all = any(op.function == "cas" for op in operations)
        self._seen = {single(op, op.result) for op in operations if op.function == "read" and op.ok}

    def of(self, value: State) -> State:
        return value if self._all or value in self._seen else UNSEEN


def _cas(operation: Operation) -> Move:
    expected, new = _expected_and_new(operation)
    if not operation.ok:
        return Move(lambda state: (new,) if state == expected else (state,), makes=(new,))
    if operation.result:
        return Move(lambda state: (new,) if state == expected else _NEVER, sees=(expected,), makes=(new,))
    return Move(lambda state: (state,) if state != expected else _NEVER, looks=True)


class Counter(Model):
    """incr, which answers the new value, and read. It starts at 0, which a read may call None."""

    name = "counter"
    initial = 0
    mutators = frozenset({"incr"})

    def moves(self, operations: Sequence[Operation], *, goes_back: bool = False) -> list[Move]:
        # What begins after the last answer was seen by nobody.
        last_answer_at = max((op.latest for op in operations if op.ok), default=float("-inf"))
        # A counter that only grows does not come back to a value, unless it goes back and grows again: then it is not
        # known which values those increments lead to whose answer nobody knows.
        grows = all(amount(op) > 0 and (op.ok or not goes_back) for op in operations if op.function == "incr")
        moves = []
        for op in operations:
            if op.function == "incr":
                moves.append(_increment(op, grows) if op.ok or op.invoked_at <= last_answer_at else _SKIP)
            elif op.ok:
                moves.append(_count(number(op, op.result), grows))
            else:
                moves.append(_SKIP)
        return moves

    def rollbacks(self, operations: Sequence[Operation], spans: Sequence[Span]) -> list[Move]:
        increments = [(op, amount(op)) for op in operations if op.function == "incr"]
        if any(by < 0 for _, by in increments) or sum(by for _, by in increments) > _ROLLBACKS_MAX:
            return []
        moves = []
        low, settled_at = 0, float("-inf")
        for since, until in spans:
            low += sum(by for op, by in increments if op.invoked_at > settled_at and op.latest < since)
            moves.append(_down_to(low, sum(by for op, by in increments if op.invoked_at <= until)))
            settled_at = until
        return moves


def _down_to(low: int, high: int) -> Move:
    # The smallest loss first.
    return Move(
        lambda state: (state, *range(state - 1, low - 1, -1)),  # type: ignore[operator]
        makes=tuple(range(low, high)),
    )


def _increment(operation: Operation, grows: bool) -> Move:
    by = amount(operation)
    if not operation.ok:
        return Move(lambda state: (state + by,))  # type: ignore[operator]
    new = number(operation, operation.result)
    old, after = new - by, (new,)
    return Move(lambda state: after if state == old else _NEVER, sees=(old,) if grows else (), makes=after)


def _count(seen: int, grows: bool) -> Move:
    return Move(lambda state: (state,) if state == seen else _NEVER, looks=True, sees=(seen,) if grows else ())


class Set(Model):
    """add, remove, contains, and read, which answers all members. It starts empty."""

    name = "set"
    initial: ClassVar[State] = frozenset()
    mutators = frozenset({"add", "remove"})
    looks = frozenset({"contains"})

    def moves(self, operations: Sequence[Operation], *, goes_back: bool = False) -> list[Move]:  # noqa: ARG002
        seen: set[State] = set()
        for op in operations:
            if op.ok and op.function == "read":
                seen.update(members(op))
            elif op.ok and op.result is not None and bool(op.result) != (op.function == "add"):
                seen.add(single(op, op.argument))
        return [self._move(op, seen) for op in operations]

    def _move(self, operation: Operation, seen: set[State]) -> Move:
        if operation.function == "read":
            if not operation.ok:
                return _SKIP
            content = members(operation)
            return Move(lambda state: (state,) if state == content else _NEVER, looks=True)
        element = single(operation, operation.argument)
        one = frozenset({element})
        told = bool(operation.result) if operation.ok and operation.result is not None else None
        match operation.function:
            case "add" if not operation.ok and element not in seen:
                # An addition that nobody saw can be left out.
                return _SKIP
            case "add":
                return _changing(lambda state: state | one, lambda state: element not in state, told)
            case "remove":
                return _changing(lambda state: state - one, lambda state: element in state, told)
        if told is None:
            return _SKIP if not operation.ok else Move(lambda state: (state,), looks=True)
        return Move(lambda state: (state,) if (element in state) == told else _NEVER, looks=True)  # type: ignore[operator]

    def rollbacks(self, operations: Sequence[Operation], spans: Sequence[Span]) -> list[Move]:
        # A member for itself goes back to being in or not; sets of which all members are read have too many pasts.
        if any(op.function == "read" for op in operations) or len({str(op.argument) for op in operations}) > 1:
            return []
        if not spans or not any(op.function in self.mutators and op.latest >= spans[0].since for op in operations):
            return []
        one = frozenset({single(operations[0], operations[0].argument)})
        return [Move(lambda state: (state, state ^ one)) for _ in spans]  # type: ignore[operator]


def _changing(change: Callable[[Any], State], changes: Callable[[Any], bool], told: bool | None) -> Move:
    """A move that says, in its result, whether it changed anything."""
    if told is None:
        return Move(lambda state: (change(state),))
    return Move(lambda state: (change(state),) if changes(state) == told else _NEVER, looks=not told)


REGISTER, COUNTER, SET = Register(), Counter(), Set()


def model_of(operations: Sequence[Operation]) -> Model:
    """The kind of object that these operations on one key are about; raises ModelError."""
    functions = {op.function for op in operations} - {"read"}
    if not functions:
        return _model_of_reads(operations)
    for model in (REGISTER, COUNTER, SET):
        if functions <= model.mutators | model.looks:
            return model
    raise ModelError(f"{operations[0].key}: {', '.join(sorted(functions))} do not belong to one kind of object")


def _model_of_reads(operations: Sequence[Operation]) -> Model:
    """What was read tells, where nobody has changed anything."""
    results = [op.result for op in operations if op.ok]
    if any(isinstance(result, list) for result in results):
        return SET
    return COUNTER if any(isinstance(result, int) for result in results) else REGISTER


def amount(operation: Operation) -> int:
    """By how much a counter is incremented; raises ModelError."""
    return 1 if operation.argument is None else number(operation, operation.argument)


def number(operation: Operation, value: Value) -> int:
    """A counter's value; raises ModelError."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    raise ModelError(f"{operation.key}: {value!r} is not a counter's value")


def members(operation: Operation) -> frozenset[State]:
    """What a read of a whole set saw; raises ModelError."""
    if not isinstance(operation.result, list):
        raise ModelError(f"{operation.key}: {operation.result!r} is not a set's members")
    return frozenset(operation.result)


def written(operations: Sequence[Operation]) -> list[tuple[Operation, State]]:
    """What was, or may have been, written to a register, by what; raises ModelError."""
    return [
        (op, single(op, op.argument) if op.function == "write" else _expected_and_new(op)[1])
        for op in operations
        if op.function == "write" or (op.function == "cas" and (not op.ok or op.result))
    ]


def single(operation: Operation, value: Value) -> State:
    """A value that is not a list; raises ModelError."""
    if isinstance(value, list):
        raise ModelError(f"{operation.key}: {value!r} is not a single value")
    return value


def _expected_and_new(operation: Operation) -> tuple[State, State]:
    if not isinstance(operation.argument, list) or len(operation.argument) != 2:
        raise ModelError(f"{operation.key}: cas needs [expected, new], not {operation.argument!r}")
    return operation.argument[0], operation.argument[1]
