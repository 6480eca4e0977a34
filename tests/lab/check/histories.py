"""Histories for tests: written by hand, or recorded from an atomic object; and a checker too simple to be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from random import Random
from typing import Any

from lab.history import History, Kind, Moment, Operation, Outcome, Value


def op(
    function: str,
    argument: Value,
    begin: float,
    end: float | None,
    result: Value = None,
    *,
    key: str = "k",
    process: int = 0,
    outcome: Outcome = Outcome.OK,
    **rest: Any,
) -> Operation:
    return Operation(process, function, key, argument, begin, end, outcome, result, **rest)


def write(value: Value, begin: float, end: float | None, **rest: Any) -> Operation:
    return op("write", value, begin, end, **rest)


def read(result: Value, begin: float, end: float, **rest: Any) -> Operation:
    return op("read", None, begin, end, result, **rest)


def incr(result: Value, begin: float, end: float | None, **rest: Any) -> Operation:
    return op("incr", 1, begin, end, result, **rest)


def unknown(operation: Operation) -> Operation:
    return replace(operation, outcome=Outcome.UNKNOWN, result=None)


def failed(operation: Operation) -> Operation:
    return replace(operation, outcome=Outcome.FAIL, result=None)


def failover(struck_at: float, at: float, *groups: str) -> list[Moment]:
    return [
        Moment(struck_at, Kind.FAULT, "kill", "node-0", groups),
        Moment(at, Kind.FAILOVER, "node-3", "node-0", groups),
    ]


def history(*operations: Operation, moments: Sequence[Moment] = ()) -> History:
    return History(list(operations), list(moments))


# A dumb version of everything that the checker knows of objects.


@dataclass
class Atomic:
    """An object that does one thing at a time."""

    kind: str
    value: Any = None

    def __post_init__(self) -> None:
        if self.kind != "register":
            self.value = 0 if self.kind == "counter" else frozenset()

    def do(self, function: str, argument: Any) -> Value:
        """Do it and answer."""
        match function:
            case "read":
                return sorted(self.value) if self.kind == "set" else self.value
            case "write":
                self.value = argument
                return None
            case "cas":
                if self.value != argument[0]:
                    return False
                self.value = argument[1]
                return True
            case "incr":
                self.value += argument
                return int(self.value)
            case "contains":
                return argument in self.value
        changed = (argument in self.value) == (function == "remove")
        self.value = self.value | {argument} if function == "add" else self.value - {argument}
        return changed


def has_an_order(kind: str, operations: Sequence[Operation]) -> bool:
    """Try every order of every choice of those that may have happened."""
    certain = [operation for operation in operations if operation.outcome is Outcome.OK]
    uncertain = [operation for operation in operations if operation.outcome is Outcome.UNKNOWN]
    return any(
        _is_an_order(kind, order)
        for chosen in range(1 << len(uncertain))
        for order in permutations(certain + [op for bit, op in enumerate(uncertain) if chosen >> bit & 1])
    )


def _is_an_order(kind: str, order: Sequence[Operation]) -> bool:
    thing = Atomic(kind)
    began = float("-inf")
    for operation in order:
        began = max(began, operation.invoked_at)
        if operation.latest < began:
            return False
        answer = thing.do(operation.function, operation.argument)
        if operation.outcome is Outcome.OK and answer != operation.result:
            return False
    return True


def recorded(
    kind: str,
    rng: Random,
    length: int,
    clients: int,
    *,
    functions: Sequence[str],
    lost: float = 0.0,
    back: Sequence[tuple[float, float]] = (),
) -> list[Operation]:
    """What clients of an atomic object recorded; each operation takes place at some instant between its ends. The
    answers to a share of `lost` of the changes got lost, after or before they were done. At each first time in `back`
    the object goes back to what it was at the second."""
    free_at = [rng.random() for _ in range(clients)]
    begun = []
    for number in range(length):
        process = min(range(clients), key=lambda client: free_at[client])
        begin = free_at[process]
        end = begin + rng.expovariate(1)
        begun.append((rng.uniform(begin, end), process, begin, end, number))
        free_at[process] = end + rng.random() / 10
    thing = Atomic(kind)
    past = [(float("-inf"), thing.value)]
    rollbacks = sorted(back, reverse=True)
    operations = []
    for now, process, begin, end, number in sorted(begun):
        while rollbacks and rollbacks[-1][0] <= now:
            at, to = rollbacks.pop()
            thing.value = next(value for then, value in reversed(past) if then <= to)
            past.append((at, thing.value))
        function = rng.choice(functions)
        argument: Value = {
            "read": None,
            "write": f"v{number}" if rng.random() < 0.8 else "again",
            "cas": [f"v{rng.randrange(number + 1)}", f"v{number}"]
            if rng.random() < 0.5
            else [thing.value, f"v{number}"],
            "incr": 1,
        }.get(function, f"e{rng.randrange(3)}")
        if function not in ("read", "contains") and rng.random() < lost:
            if rng.random() < 0.5:
                thing.do(function, argument)
            operations.append(op(function, argument, begin, end, process=process, outcome=Outcome.UNKNOWN))
        else:
            result = thing.do(function, argument)
            operations.append(op(function, argument, begin, end, result, process=process))
        past.append((now, thing.value))
    return operations
