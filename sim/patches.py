"""Time and chance for third parties: their clocks show a simulated host's, their dice are the world's.

Product code is handed its clock and its generators; libraries call `time.monotonic` and `random.choice`. While a world
runs these are replaced: for code of a simulated process they answer from the world, for everybody else as always. What
has no answer in a simulation (sleeping, a thread) is refused by name, and so is `asyncio.as_completed`, which takes
coroutines in the order of their addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Any

from sim.guard import refuse
from sim.process import PROCESS, Process

_US = 1_000_000
# Modules that have copied a function to a name of their own: where it was defined, and where it is called.
_URANDOM = ((os, "urandom"), (random, "_urandom"))
# What has no answer: where it is, its name, and what to use instead.
_REFUSED: tuple[tuple[Any, str, str], ...] = (
    (time, "sleep", "asyncio.sleep"),
    (threading.Thread, "start", "the running loop's run_in_executor"),
    (asyncio, "as_completed", "asyncio.gather, TaskGroup or wait"),
)


class Patches:
    """The replacements of one world."""

    __slots__ = ("_chance", "_numbers", "_shared_state")

    def __init__(self, chance: Random, shared: Random) -> None:
        # For ids, tokens and seeds.
        self._chance = chance
        # The generator behind `random.choice` and its relatives, between runs.
        self._shared_state = shared.getstate()
        # Of redis-py's connections, by which a set of them is ordered.
        self._numbers = count(1)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """In force within the block."""
        theirs = random.getstate()
        random.setstate(self._shared_state)
        replaced: list[tuple[Any, str, Any]] = []
        try:
            for place, name, replacement in self._replacements():
                replaced.append((place, name, place.__dict__.get(name)))
                setattr(place, name, replacement)
            yield
        finally:
            for place, name, original in reversed(replaced):
                if original is None:
                    # It was inherited.
                    delattr(place, name)
                else:
                    setattr(place, name, original)
            self._shared_state = random.getstate()
            random.setstate(theirs)

    def _replacements(self) -> Iterator[tuple[Any, str, Any]]:
        for name, reading in _READINGS.items():
            yield time, name, _for_processes(getattr(time, name), reading)
        chance = self._chance
        for place, name in _URANDOM:
            yield place, name, _for_processes(getattr(place, name), lambda _, size: chance.randbytes(size))
        yield (
            uuid,
            "uuid1",
            _for_processes(uuid.uuid1, lambda *_, **__: uuid.UUID(int=chance.getrandbits(128), version=1)),
        )
        yield Random, "seed", _seeded(Random.seed, chance)
        for place, name, instead in _REFUSED:
            wanted = f"{place.__name__}.{name}"
            yield place, name, _for_processes(place.__dict__[name], _refusal(wanted, instead))
        connections = sys.modules.get("redis.asyncio.connection")
        if connections is not None:
            yield connections.AbstractConnection, "__hash__", lambda connection: self._number_of(connection)

    def _number_of(self, connection: Any) -> int:
        number: int | None = connection.__dict__.get("_simulated_number")
        if number is None:
            number = connection._simulated_number = next(self._numbers)
        return number


def _wall_us(process: Process) -> int:
    return process.host.clock.wall_us(process.now)


def _monotonic_s(process: Process) -> float:
    return process.host.clock.monotonic_s(process.now)


# What each clock of the standard library shows a process.
_READINGS: dict[str, Callable[[Process], float]] = {
    "time": lambda process: _wall_us(process) / _US,
    "time_ns": lambda process: _wall_us(process) * 1000,
    "monotonic": _monotonic_s,
    "monotonic_ns": lambda process: round(_monotonic_s(process) * 1e9),
    "perf_counter": _monotonic_s,
    "perf_counter_ns": lambda process: round(_monotonic_s(process) * 1e9),
}


def _for_processes(real: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    """`simulated` gets the process in front of its arguments; `real` is for code that belongs to none."""

    def choose(*args: Any, **options: Any) -> Any:
        process = PROCESS.get()
        return real(*args, **options) if process is None else simulated(process, *args, **options)

    return choose


def _refusal(wanted: str, instead: str) -> Callable[..., Any]:
    return lambda process, *_, **__: refuse(process, wanted, instead)


def _seeded(real: Callable[..., None], chance: Random) -> Callable[..., None]:
    """A generator that is made without a seed would take one from the operating system."""

    def seed(self: Random, a: Any = None, version: int = 2) -> None:
        if a is None and PROCESS.get() is not None:
            a = chance.getrandbits(128)
        real(self, a, version)

    return seed
