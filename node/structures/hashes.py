"""Hashes: fields and their values."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice
from typing import ClassVar

from node.structures.table import DICT_MAX, Table

Fields = dict[bytes, bytes] | Table[bytes]


class Hash:
    """The value of a key: a dict of its fields while small, a table of them when large."""

    __slots__ = ("compact", "fields")

    kind: ClassVar[bytes] = b"hash"

    def __init__(self, fields: dict[bytes, bytes] | None = None, *, compact: bool = True) -> None:
        """A hash that takes over `fields`."""
        self.fields: Fields = {}
        if fields is not None:
            self.fields = fields if len(fields) <= DICT_MAX else Table(fields)
        # Whether Redis would keep it as a listpack. It never becomes one again after it has been too large for that.
        self.compact = compact

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def encoding(self) -> bytes:
        return b"listpack" if self.compact else b"hashtable"

    def update(self, pairs: Sequence[bytes], start: int, entries_max: int, value_max: int) -> int:
        """Set field, value, field, value … from index `start` of `pairs` on; returns how many fields are new.

        The limits are those of a listpack: of fields, and of the length of a field or value.
        """
        fields = self.fields
        before = len(fields)
        for at in range(start, len(pairs), 2):
            fields[pairs[at]] = pairs[at + 1]
        added = len(fields) - before
        if self.compact and (len(fields) > entries_max or any(len(part) > value_max for part in pairs[start:])):
            self.compact = False
        if added and before + added > DICT_MAX and isinstance(fields, dict):
            self.fields = Table(fields)
        return added

    def copy(self) -> Hash:
        other = Hash()
        other.fields = self.fields.copy()
        other.compact = self.compact
        return other

    def memory_bytes(self, samples: int) -> int:
        fields = self.fields
        size = len(fields)
        sampled = list(fields.items()) if not samples else list(islice(fields.items(), samples))
        parts = sum(sys.getsizeof(field) + sys.getsizeof(value) for field, value in sampled)
        places = sys.getsizeof(fields) if isinstance(fields, dict) else fields.memory_bytes()
        return sys.getsizeof(self) + places + parts * size // max(len(sampled), 1)

    def _check(self) -> None:
        """Raise AssertionError unless it is kept as it should be."""
        assert isinstance(self.fields, Table) or len(self.fields) <= DICT_MAX
        if isinstance(self.fields, Table):
            self.fields._check()
