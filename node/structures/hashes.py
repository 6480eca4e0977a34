"""Hashes: fields and their values."""

from __future__ import annotations

import sys
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

    def set(self, field: bytes, value: bytes, entries_max: int, value_max: int) -> int:
        """Set one field; 1 when it is new, else 0. The limits are those of a listpack: fields, and bytes of either."""
        fields = self.fields
        if not isinstance(fields, dict):
            return fields.put(field, value)
        before = len(fields)
        fields[field] = value
        size = len(fields)
        if self.compact and (size > entries_max or len(value) > value_max or len(field) > value_max):
            self.compact = False
        if size > DICT_MAX:
            self.fields = Table(fields)
        return size - before

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
