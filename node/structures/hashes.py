"""Hashes: fields and their values; and, where a field has one, its time to live (Redis 7.4)."""

from __future__ import annotations

import sys
from itertools import chain, islice
from typing import ClassVar

from node.structures.deadlines import Deadlines
from node.structures.limits import CompactLimits
from node.structures.records import Record, Shapes
from node.structures.table import DICT_MAX, Table

Fields = dict[bytes, bytes] | Table[bytes] | Record


class Hash:
    """The value of a key: its fields packed or in a dict while it is small, in a table when it is large."""

    __slots__ = ("compact", "expiry", "fields")

    kind: ClassVar[bytes] = b"hash"

    def __init__(self, fields: dict[bytes, bytes] | None = None, *, compact: bool = True) -> None:
        """A hash that takes over `fields`."""
        self.fields: Fields = {}
        if fields is not None:
            self.fields = fields if len(fields) <= DICT_MAX else Table(fields)
        # Whether Redis would keep it as a listpack. It never becomes one again after it has been too large for that.
        self.compact = compact
        # When fields expire; None as long as none ever had a time to live.
        self.expiry: Deadlines | None = None

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def encoding(self) -> bytes:
        if not self.compact:
            return b"hashtable"
        return b"listpack" if self.expiry is None else b"listpackex"

    def set(self, field: bytes, value: bytes, limits: CompactLimits) -> int:
        """Set one field; 1 when it is new, else 0. The limits are those of a listpack: fields, and bytes of either."""
        fields = self.fields
        if self.expiry is not None:
            self.persist(field)
        if isinstance(fields, Table):
            return fields.put(field, value)
        if not isinstance(fields, dict):
            grown = fields.with_added(field, value)
            most = limits.hash_value
            if grown is not None and len(grown) <= limits.hash_entries and len(field) <= most and len(value) <= most:
                self.fields = grown
                return 1
            fields = self.fields = dict(fields.items())
        before = len(fields)
        fields[field] = value
        size = len(fields)
        if self.compact:
            most = limits.hash_value
            if size > limits.hash_entries or len(value) > most or len(field) > most:
                self.compact = False
        if size > DICT_MAX:
            self.fields = Table(fields)
        return size - before

    def update(self, field: bytes, value: bytes, limits: CompactLimits) -> int | None:
        """Set one field and keep its time to live, which is returned, in Unix milliseconds."""
        when_ms = self.expire_time(field)
        self.set(field, value, limits)
        if when_ms is not None:
            self.expire_at(field, when_ms)
        return when_ms

    def pack(self, shapes: Shapes) -> None:
        """Keep the fields packed, if there are many hashes like this one."""
        if self.compact and isinstance(self.fields, dict):
            packed = shapes.pack(self.fields)
            if packed is not None:
                self.fields = packed

    def unpacked(self) -> dict[bytes, bytes] | Table[bytes]:
        """The fields in a form that can be changed, and in which they stay from now on."""
        fields = self.fields
        if isinstance(fields, Record):
            fields = self.fields = dict(fields.items())
        return fields

    def mapping(self) -> dict[bytes, bytes] | Table[bytes]:
        """The fields in a form that can be walked and drawn from; not to be changed."""
        fields = self.fields
        return dict(fields.items()) if isinstance(fields, Record) else fields

    def remove(self, fields: list[bytes]) -> int:
        """Take out fields; returns how many were there."""
        own = self.unpacked()
        before = len(own)
        for field in fields:
            own.pop(field, None)
        if self.expiry is not None:
            for field in fields:
                self.persist(field)
        return before - len(own)

    def expire_at(self, field: bytes, when_ms: int) -> None:
        """Let an existing field expire at `when_ms`."""
        if self.expiry is None:
            self.expiry = Deadlines()
        self.expiry.set(field, when_ms)

    def expire_time(self, field: bytes) -> int | None:
        """When the field expires, in Unix milliseconds; None when it does not."""
        return None if self.expiry is None else self.expiry.times.get(field)

    def persist(self, field: bytes) -> bool:
        """Drop the time to live of a field; False when it has none."""
        expiry = self.expiry
        return expiry is not None and expiry.forget(field)

    def copy(self) -> Hash:
        other = Hash()
        # What is packed never changes.
        other.fields = self.fields if isinstance(self.fields, Record) else self.fields.copy()
        other.compact = self.compact
        if self.expiry is not None:
            other.expiry = self.expiry.copy()
        return other

    def memory_bytes(self, samples: int) -> int:
        fields = self.fields
        if isinstance(fields, Record):
            return sys.getsizeof(self) + sys.getsizeof(fields) + sys.getsizeof(fields.data)
        size = len(fields)
        sampled = list(islice(fields.items(), samples or size))
        parts = sum(map(sys.getsizeof, chain.from_iterable(sampled)))
        places = sys.getsizeof(fields) if isinstance(fields, dict) else fields.memory_bytes()
        return sys.getsizeof(self) + places + parts * size // max(len(sampled), 1)

    def _check(self) -> None:
        """Raise AssertionError unless it is kept as it should be."""
        assert isinstance(self.fields, Table) or len(self.fields) <= DICT_MAX
        assert self.compact or not isinstance(self.fields, Record)
        assert self.expiry is None or all(field in self.fields for field in self.expiry.times)
        if isinstance(self.fields, Table):
            self.fields._check()
