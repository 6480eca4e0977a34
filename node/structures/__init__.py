"""What a key can hold besides a string: one module a type, each with a class that the keyspace stores.

Strings are plain `bytes` or `bytearray` and have no class here. Handlers in `node.commands` find the value with
`Database.get_as` or `read_as`, change it in place, say so with `Database.changed`, and remove a key whose
structure has become empty: Redis keeps no empty lists, hashes, sets or sorted sets.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, Self


class Structure(Protocol):
    """What the keyspace and the commands for all types ask of a value."""

    # What TYPE answers.
    kind: ClassVar[bytes]

    @property
    def encoding(self) -> bytes:
        """What OBJECT ENCODING answers, by Redis' thresholds."""
        ...

    def copy(self) -> Self:
        """A value of its own with the same contents, for COPY."""
        ...

    def __len__(self) -> int:
        """How many elements it has; empty structures are not kept, streams excepted."""
        ...

    def memory_bytes(self, samples: int) -> int:
        """An estimate for MEMORY USAGE, the elements judged by `samples` of them (0: by all)."""
        ...
