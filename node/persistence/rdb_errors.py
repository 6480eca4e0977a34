"""What can be wrong with an RDB file, each with the words redis-server logs about it.

All of these refuse the whole file: half a data set that looks complete is worse than none.
"""

from __future__ import annotations


class RdbError(Exception):
    """The RDB cannot be loaded; `lines` is what the log says, in Redis' words."""

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(reason)
        # What is wrong, for people.
        self.reason = reason
        # Where in the file it was noticed.
        self.offset = offset

    @property
    def lines(self) -> list[str]:
        return [f"Internal error in RDB reading offset {self.offset} -> {self.reason}"]


class RdbTruncatedError(RdbError):
    """The file ends inside a record."""

    def __init__(self, offset: int) -> None:
        super().__init__("Unexpected EOF reading RDB file", offset)

    @property
    def lines(self) -> list[str]:
        return ["Short read or OOM loading DB. Unrecoverable error, aborting now.", *super().lines]


class RdbEmptyError(RdbError):
    """A collection without elements. No server keeps one; in a file its key is left out, as Redis does."""


class RdbModuleError(RdbError):
    """A value of a module that this server does not have. It has been passed over; in a file its key is left out."""

    def __init__(self, type_name: str, offset: int) -> None:
        super().__init__(f"no matching module type '{type_name}'", offset)
        self.type_name = type_name


class RdbChecksumError(RdbError):
    """The file's bytes are not those that were written."""

    def __init__(self, computed: int, stored: int, offset: int) -> None:
        super().__init__("RDB CRC error", offset)
        self._computed = computed
        self._stored = stored

    @property
    def lines(self) -> list[str]:
        wrong = f"Wrong RDB checksum expected: ({self._computed:x}) but got ({self._stored:x}). Aborting now."
        return [wrong, *super().lines]


class RdbForeignError(RdbError):
    """Not an RDB file at all, or one of a version that this server does not know."""

    @property
    def lines(self) -> list[str]:
        return [self.reason, "Fatal error loading the DB: Invalid argument. Exiting."]
