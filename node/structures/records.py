"""Small hashes alike: their field names are kept once, their values as one string each.

Most small hashes are records: a great many have the same fields in the same order. A dict with five short values takes
some 700 bytes, of which hardly fifty are the values. A `Record` has a reference to its `Shape`, which knows the names,
and one `bytes`: the lengths of the values, one byte each, then the values. Reading one costs a fraction of a
microsecond more than reading a dict.

Nothing changes in a packed hash except that a field may be added. A hash whose values change is worked on, and
becomes a dict.
"""

from __future__ import annotations

from collections.abc import Iterator

# Longer values, and more fields, are not packed: a length has one byte, and to find a value the lengths are added up.
_VALUE_MAX = 255
_FIELDS_MAX = 16
# So often names must be met in the same order before they are a shape, and so many shapes are kept. Names that are
# met seldom are forgotten by and by.
_MEETINGS_MIN = 4
_SHAPES_MAX = 1024
_CANDIDATES_MAX = 1024


class Shape:
    """Names of fields, in order."""

    __slots__ = ("index", "names", "shapes")

    def __init__(self, names: tuple[bytes, ...], shapes: Shapes) -> None:
        self.names = names
        self.index = {name: at for at, name in enumerate(names)}
        # Where shapes with one more name are found.
        self.shapes = shapes


class Shapes:
    """The shapes of one node's hashes."""

    __slots__ = ("_candidates", "_shapes")

    def __init__(self) -> None:
        self._shapes: dict[tuple[bytes, ...], Shape] = {}
        # How often names were met that are no shape yet.
        self._candidates: dict[tuple[bytes, ...], int] = {}

    def find(self, names: tuple[bytes, ...]) -> Shape | None:
        """The shape with these names; None if they are not met often enough to be one."""
        shape = self._shapes.get(names)
        if shape is not None:
            return shape
        if len(names) > _FIELDS_MAX or len(self._shapes) >= _SHAPES_MAX:
            return None
        candidates = self._candidates
        meetings = candidates.get(names, 0) + 1
        if meetings >= _MEETINGS_MIN:
            candidates.pop(names, None)
            shape = self._shapes[names] = Shape(names, self)
            return shape
        if len(candidates) >= _CANDIDATES_MAX:
            candidates.clear()
        candidates[names] = meetings
        return None

    def known(self, names: tuple[bytes, ...], values: list[bytes]) -> Record | None:
        """These fields packed, if their names are a shape already; None if not, or if they cannot be."""
        shape = self._shapes.get(names)
        if shape is None:
            return None
        sizes = list(map(len, values))
        return Record(shape, bytes(sizes) + b"".join(values)) if max(sizes) <= _VALUE_MAX else None

    def pack(self, fields: dict[bytes, bytes]) -> Record | None:
        """The same fields packed; None if they cannot be."""
        if len(fields) > _FIELDS_MAX:
            return None
        shape = self.find(tuple(fields))
        if shape is None:
            return None
        values = fields.values()
        if max(map(len, values)) > _VALUE_MAX:
            return None
        return Record(shape, bytes(map(len, values)) + b"".join(values))


class Record:
    """Fields and their values; the methods are those of a dict that is only read."""

    __slots__ = ("data", "shape")

    def __init__(self, shape: Shape, data: bytes) -> None:
        self.shape = shape
        self.data = data

    def __len__(self) -> int:
        return len(self.shape.names)

    def __contains__(self, field: bytes) -> bool:
        return field in self.shape.index

    def get(self, field: bytes) -> bytes | None:
        shape = self.shape
        at = shape.index.get(field)
        if at is None:
            return None
        data = self.data
        start = len(shape.names) + sum(data[:at])
        return data[start : start + data[at]]

    def __getitem__(self, field: bytes) -> bytes:
        value = self.get(field)
        if value is None:
            raise KeyError(field)
        return value

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.shape.names)

    def values(self) -> list[bytes]:
        data = self.data
        count = len(self.shape.names)
        values: list[bytes] = []
        start = count
        for length in data[:count]:
            values.append(data[start : start + length])
            start += length
        return values

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        return zip(self.shape.names, self.values(), strict=True)

    def with_added(self, field: bytes, value: bytes) -> Record | None:
        """These fields and a new one; None if they cannot be packed together."""
        shape = self.shape
        if field in shape.index or len(value) > _VALUE_MAX:
            return None
        grown = shape.shapes.find((*shape.names, field))
        if grown is None:
            return None
        count = len(shape.names)
        data = self.data
        return Record(grown, b"%b%c%b%b" % (data[:count], len(value), data[count:], value))
