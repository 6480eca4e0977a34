"""What an atomic register, counter and set would do: the yardstick of the linearizability checker.

A model turns an operation into a step: a function from a state to the states that may follow it, none if the
operation cannot have happened in that state with that result. States are hashable. An operation of unknown outcome
gives the same steps without a result to compare with.

A rollback is a step too. Redis replicates asynchronously: at a failover a key may go back to something that it was a
short time before, and a checker that shall explain lost writes is given that step, once for each failover.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar

from lab.history import Operation, Value

State = Hashable
Step = Callable[[State], tuple[State, ...]]

_NEVER: tuple[State, ...] = ()
# Rollbacks are tried one by one: with more candidates than this a key is not explained.
_ROLLBACKS_MAX = 100_000


class ModelError(Exception):
    """The operations on a key are of no known kind, or their values make no sense. The text names the key."""


class Model(ABC):
    """One kind of object."""

    name: ClassVar[str]
    initial: ClassVar[State]
    # Functions that change it; reads are not among them.
    mutators: ClassVar[frozenset[str]]

    @abstractmethod
    def step(self, operation: Operation) -> Step:
        """What the operation does to a state."""

    def only_looks(self, operation: Operation) -> bool:
        """Whether it cannot have changed anything, given its result."""
        if operation.function not in self.mutators:
            return True
        # A cas that failed; an addition of what was there, a removal of what was not. (`False == 0`, and None is not.)
        return operation.ok and operation.function in ("cas", "add", "remove") and operation.result == 0

    @abstractmethod
    def idle(self, operations: Sequence[Operation]) -> list[Operation]:
        """Operations of unknown outcome that nothing else depends on: whether they happened cannot matter."""

    @abstractmethod
    def rollback(self, operations: Sequence[Operation], since: float) -> Step | None:
        """Back to anything that the key may have been at `since` or later; None where that cannot be said."""


class Register(Model):
    """write, read, cas. It starts without a value, as None."""

    name = "register"
    initial = None
    mutators = frozenset({"write", "cas"})

    def step(self, operation: Operation) -> Step:
        match operation.function:
            case "write":
                after = (_scalar(operation, operation.argument),)
                return lambda _: after
            case "read" if operation.ok:
                seen = _scalar(operation, operation.result)
                return lambda state: (state,) if state == seen else _NEVER
            case "cas":
                expected, new = _pair(operation)
                if not operation.ok:
                    return lambda state: (new,) if state == expected else (state,)
                if operation.result:
                    return lambda state: (new,) if state == expected else _NEVER
                return lambda state: (state,) if state != expected else _NEVER
        return _unchanged

    def idle(self, operations: Sequence[Operation]) -> list[Operation]:
        # A write whose value nobody saw can be left out, unless a cas failed: that saw that the value was another.
        conditional = any(op.function == "cas" for op in operations)
        seen = {_scalar(op, op.result) for op in operations if op.function == "read" and op.ok}
        return [
            op
            for op in operations
            if not op.ok
            and (op.function == "read" or (op.function == "write" and not conditional and op.argument not in seen))
        ]

    def rollback(self, operations: Sequence[Operation], since: float) -> Step | None:
        written = [(op, value) for op in operations if (value := self._written(op)) is not _NOT]
        # Overwritten for certain before `since`: by an acknowledged write that began after it had ended.
        began = max((op.invoked_at for op, _ in written if op.latest < since), default=float("-inf"))
        back = {value: None for op, value in written if op.latest >= began}
        if began == float("-inf"):
            back[self.initial] = None
        candidates = tuple(back)
        return lambda _: candidates

    @staticmethod
    def _written(operation: Operation) -> State:
        if operation.function == "write":
            return _scalar(operation, operation.argument)
        if operation.function == "cas" and (not operation.ok or operation.result):
            return _pair(operation)[1]
        return _NOT


class Counter(Model):
    """incr, which answers the new value, and read. It starts at 0, which a read may call None."""

    name = "counter"
    initial = 0
    mutators = frozenset({"incr"})

    def step(self, operation: Operation) -> Step:
        if operation.function == "incr":
            by = amount(operation)
            if not operation.ok:
                return lambda state: (state + by,)  # type: ignore[operator]
            new = number(operation, operation.result)
            # A tuple made once: comparing is all that is left to do.
            old, after = new - by, (new,)
            return lambda state: after if state == old else _NEVER
        if not operation.ok:
            return _unchanged
        seen = number(operation, operation.result)
        return lambda state: (state,) if state == seen else _NEVER

    def idle(self, operations: Sequence[Operation]) -> list[Operation]:
        last_seen_at = max((op.latest for op in operations if op.ok), default=float("-inf"))
        return [op for op in operations if not op.ok and (op.function == "read" or op.invoked_at > last_seen_at)]

    def rollback(self, operations: Sequence[Operation], since: float) -> Step | None:
        increments = [op for op in operations if op.function == "incr"]
        if any(amount(op) < 0 for op in increments):
            return None
        low = sum(amount(op) for op in increments if op.latest < since)
        if sum(amount(op) for op in increments) - low > _ROLLBACKS_MAX:
            return None
        return lambda state: tuple(range(state - 1, low - 1, -1))  # type: ignore[operator]


class Set(Model):
    """add, remove, contains, and read, which answers all members. It starts empty."""

    name = "set"
    initial: ClassVar[State] = frozenset()
    mutators = frozenset({"add", "remove"})

    def step(self, operation: Operation) -> Step:
        if operation.function == "read":
            if not operation.ok:
                return _unchanged
            seen = members(operation)
            return lambda state: (state,) if state == seen else _NEVER
        one = frozenset({_scalar(operation, operation.argument)})
        (element,) = one
        result = operation.result if operation.ok else None
        match operation.function:
            case "add":
                return _changing(lambda state: state | one, lambda state: element not in state, result)
            case "remove":
                return _changing(lambda state: state - one, lambda state: element in state, result)
        if result is None:
            return _unchanged
        return lambda state: (state,) if (element in state) == bool(result) else _NEVER  # type: ignore[operator]

    def idle(self, operations: Sequence[Operation]) -> list[Operation]:
        # An addition that nobody saw can be left out.
        seen: set[State] = set()
        for op in operations:
            if op.ok and op.function == "read":
                seen.update(members(op))
            elif op.ok and op.result is not None and bool(op.result) != (op.function == "add"):
                seen.add(_scalar(op, op.argument))
        return [
            op
            for op in operations
            if not op.ok and (op.function in ("read", "contains") or (op.function == "add" and op.argument not in seen))
        ]

    def rollback(self, operations: Sequence[Operation], since: float) -> Step | None:
        # A member for itself goes back to being in or not; sets with reads of all members have too many pasts.
        if any(op.function == "read" for op in operations) or len({str(op.argument) for op in operations}) > 1:
            return None
        element = frozenset({_scalar(operations[0], operations[0].argument)})
        changed = [op for op in operations if op.function in self.mutators and op.latest >= since]
        if not changed:
            return None
        return lambda state: (state ^ element,)  # type: ignore[operator]


REGISTER, COUNTER, SET = Register(), Counter(), Set()


def model_of(operations: Sequence[Operation]) -> Model:
    """The kind of object that these operations on one key are about; raises ModelError."""
    functions = {op.function for op in operations} - {"read"}
    for model in (COUNTER, SET, REGISTER):
        extra = {"contains"} if model is SET else set()
        if functions <= model.mutators | extra and (functions or model is REGISTER):
            return model
    raise ModelError(f"{operations[0].key}: {', '.join(sorted(functions))} do not belong to one kind of object")


def amount(operation: Operation) -> int:
    """By how much a counter is incremented."""
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


_NOT: State = object()


def _unchanged(state: State) -> tuple[State, ...]:
    return (state,)


def _changing(change: Callable[[Any], State], changes: Callable[[Any], bool], told: Value) -> Step:
    """A step that says, in its result, whether it changed anything."""
    if told is None:
        return lambda state: (change(state),)
    wanted = bool(told)
    return lambda state: (change(state),) if changes(state) == wanted else _NEVER


def _scalar(operation: Operation, value: Value) -> State:
    if isinstance(value, list):
        raise ModelError(f"{operation.key}: {value!r} is not a single value")
    return value


def _pair(operation: Operation) -> tuple[State, State]:
    if not isinstance(operation.argument, list) or len(operation.argument) != 2:
        raise ModelError(f"{operation.key}: cas needs [expected, new], not {operation.argument!r}")
    return operation.argument[0], operation.argument[1]
