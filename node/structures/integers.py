"""A set of integers as an ascending row of numbers, in two, four or eight bytes each: what Redis calls an intset.

Members are the texts of the numbers, as everywhere. Adding and removing move the numbers behind, so this is for small
sets.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from random import Random

from wire.arguments import canonical_integer

# Type codes of arrays, the narrowest first.
_CODES = ("h", "i", "q")


class Integers:
    """The members; the methods are those that sets use of a dict."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: array[int] = array(_CODES[0])

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, member: bytes) -> bool:
        number = canonical_integer(member)
        if number is None:
            return False
        numbers = self._numbers
        at = bisect_left(numbers, number)
        return at < len(numbers) and numbers[at] == number

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"%d" % number for number in self._numbers])

    def put(self, member: bytes) -> int:
        """Add the text of an integer; 1 when it is new, else 0."""
        number = int(member)
        numbers = self._numbers
        at = bisect_left(numbers, number)
        if at < len(numbers) and numbers[at] == number:
            return 0
        while True:
            try:
                numbers.insert(at, number)
            except OverflowError:
                numbers = array(_CODES[_CODES.index(numbers.typecode) + 1], numbers)
            else:
                self._numbers = numbers
                return 1

    def pop(self, member: bytes, default: None = None) -> bool | None:
        """Take `member` out: True; `default` when it is not there."""
        if member not in self:
            return default
        numbers = self._numbers
        del numbers[bisect_left(numbers, int(member))]
        return True

    def random_key(self, chance: Random) -> bytes:
        """One of the members (there must be some), each as likely as the others."""
        numbers = self._numbers
        return b"%d" % numbers[int(chance.random() * len(numbers))]

    def copy(self) -> Integers:
        other = Integers()
        other._numbers = self._numbers[:]
        return other

    def memory_bytes(self) -> int:
        return self.__sizeof__() + self._numbers.__sizeof__()

    def _check(self) -> None:
        """Raise AssertionError unless the numbers ascend."""
        assert list(self._numbers) == sorted(set(self._numbers))
