"""Freeing large values and emptied databases in slices, so that no turn of the loop takes long.

Giving back a hash of a million fields takes as long as building a good part of it, and a server that answers nobody
for a tenth of a second is as good as dead to its neighbours. What was deleted is out of the keyspace at once; here it
is taken apart from the ends of its lists and dicts, a slice at a time. A thread would not help: the interpreter lock
is held while memory is given back.

Only what nobody else holds is taken apart. A value that was renamed, or parts that values share (the field names of
small hashes), have other references and are left alone.
"""

from __future__ import annotations

import asyncio
import sys
from array import array

from runtime.clock import Clock

# How long a slice may take, how long clients have between two, and how many objects go between two looks at the clock.
_SLICE_NS = 1_000_000
_PAUSE_S = 0.001
_STEP = 64
# Looks at the clock in a slice at most: a clock may stand still during a turn (in the simulator it does).
_STEPS_MAX = 128
# Items that go in one step.
_FEW = 64
# References to a thing that only the list it was taken from held: the local name, and the argument of the call.
_OWN_REFERENCES = 2
_PLAIN = (bytes, bytearray, int, float, str, array)


class Graveyard:
    """What is still to be freed."""

    __slots__ = ("_clock", "_pending", "_stack", "_timer", "freed")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # What is being taken apart; the last one goes first, and its parts are put behind it.
        self._stack: list[object] = []
        self._timer: asyncio.TimerHandle | None = None
        # Keys whose values are here, and that were.
        self._pending = 0
        self.freed = 0

    @property
    def pending(self) -> int:
        return self._pending

    def bury(self, remains: object, keys: int) -> None:
        """Free `remains`, which the keyspace has let go of and which held the values of so many keys."""
        self._stack.append(remains)
        self._pending += keys
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE_S, self._work)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _work(self) -> None:
        """One slice."""
        self._timer = None
        started_ns = self._clock.perf_ns()
        for _ in range(_STEPS_MAX):
            self._take_apart(_STEP)
            if not self._stack:
                self.freed += self._pending
                self._pending = 0
                return
            if self._clock.perf_ns() - started_ns > _SLICE_NS:
                break
        self._timer = asyncio.get_running_loop().call_later(_PAUSE_S, self._work)

    def _take_apart(self, count: int) -> None:
        """Free about `count` objects."""
        stack = self._stack
        while count > 0 and stack:
            count -= 1
            thing = stack.pop()
            if sys.getrefcount(thing) > _OWN_REFERENCES:
                continue
            if isinstance(thing, dict):
                count -= _empty_dict(thing, stack, count)
            elif isinstance(thing, list):
                count -= _empty_list(thing, stack, count)
            else:
                stack += _attributes(thing)


def _empty_dict(things: dict[object, object], stack: list[object], count: int) -> int:
    """Take out up to `count` items, or all of a few; what is left goes back on the stack, below what has parts."""
    if len(things) <= _FEW:
        values = list(things.values())
        things.clear()
    else:
        values = [things.popitem()[1] for _ in range(min(max(count, 1), len(things)))]
        if things:
            stack.append(things)
    return _put(values, stack)


def _empty_list(things: list[object], stack: list[object], count: int) -> int:
    """The same of a list, from its end."""
    values = things[-max(count, 1) :]
    del things[-max(count, 1) :]
    if things:
        stack.append(things)
    return _put(values, stack)


def _put(values: list[object], stack: list[object]) -> int:
    """Put on the stack what has parts and is held by nobody else, and let go of the others; returns their number."""
    stack += [value for value in values if type(value) is not bytes and value and not isinstance(value, _PLAIN)]
    return len(values)


def _attributes(thing: object) -> list[object]:
    """The parts of an object with slots, which lets go of them."""
    parts = []
    for kind in type(thing).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            part = None if name.startswith("__") else getattr(thing, name, None)
            if part is not None and not isinstance(part, _PLAIN):
                parts.append(part)
                delattr(thing, name)
    return parts
