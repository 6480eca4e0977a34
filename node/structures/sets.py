"""Sets: members in no order that means anything, except that integers among themselves are listed ascending."""

from __future__ import annotations

import sys
from collections.abc import Collection
from itertools import islice, repeat
from typing import ClassVar

from node.structures.integers import Integers
from node.structures.table import DICT_MAX, Table
from wire.arguments import NO_INTEGER_FROM, canonical_integer

# No Python `set`: its order differs in every process, and a random member of it cannot be had. The values mean nothing.
Members = dict[bytes, bool] | Table[bool] | Integers


class Set:
    """The value of a key: its members as numbers or in a dict while it is small, in a table when it is large."""

    __slots__ = ("compact", "members")

    kind: ClassVar[bytes] = b"set"

    def __init__(self) -> None:
        self.members: Members = Integers()
        # Whether Redis would keep it as an intset. It never becomes one again after a member was none, or one too many.
        self.compact = True

    def __len__(self) -> int:
        return len(self.members)

    @property
    def encoding(self) -> bytes:
        return b"intset" if self.compact else b"hashtable"

    def add(self, member: bytes, intset_max: int) -> int:
        """Add one member; 1 when it is new, else 0. An intset has up to `intset_max` members."""
        members = self.members
        if isinstance(members, Table):
            return members.put(member, True)
        if isinstance(members, Integers):
            if len(members) < min(intset_max, DICT_MAX) and canonical_integer(member) is not None:
                return members.put(member)
            if member in members:
                return 0
            members = self.members = dict.fromkeys(members, True)
        before = len(members)
        members[member] = True
        size = len(members)
        if size == before:
            return 0
        if self.compact and (size > intset_max or canonical_integer(member) is None):
            self.compact = False
        if size > DICT_MAX:
            self.members = Table(members)
        return 1

    def add_each(self, members: list[bytes], intset_max: int) -> list[int]:
        """Add several; which were there already, by their place."""
        own = self.members
        if isinstance(own, Table):
            return own.put_each(members, repeat(True))
        return [at for at, member in enumerate(members) if not self.add(member, intset_max)]

    def listed(self) -> list[bytes]:
        """All members; those of an intset ascend."""
        members = self.members
        return sorted(members, key=int) if self.compact and not isinstance(members, Integers) else list(members)

    def mapping(self) -> dict[bytes, bool] | Table[bool]:
        """The members in a form that can be walked; not to be changed."""
        members = self.members
        return dict.fromkeys(members, True) if isinstance(members, Integers) else members

    def copy(self) -> Set:
        other = Set()
        other.members = self.members.copy()
        other.compact = self.compact
        return other

    def memory_bytes(self, samples: int) -> int:
        members = self.members
        if isinstance(members, Integers):
            return sys.getsizeof(self) + members.memory_bytes()
        sampled = list(members) if not samples else list(islice(members, samples))
        places = sys.getsizeof(members) if isinstance(members, dict) else members.memory_bytes()
        each = sum(map(sys.getsizeof, sampled)) / max(len(sampled), 1)
        return sys.getsizeof(self) + places + int(each * len(members))

    def _check(self) -> None:
        """Raise AssertionError unless it is kept as it should be."""
        assert isinstance(self.members, Table) or len(self.members) <= DICT_MAX
        if not isinstance(self.members, dict):
            self.members._check()
        assert self.compact or not isinstance(self.members, Integers)
        if self.compact:
            assert all(canonical_integer(member) is not None for member in self.members)


def set_of(members: Collection[bytes], intset_max: int) -> Set:
    """A new set of `members`."""
    made = Set()
    if members and min(members) >= NO_INTEGER_FROM:
        made.compact = False
        mapped = dict.fromkeys(members, True)
        made.members = mapped if len(mapped) <= DICT_MAX else Table(mapped)
        return made
    for member in members:
        made.add(member, intset_max)
    return made
