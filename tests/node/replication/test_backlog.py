"""The ring beside a dumb version that keeps everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.replication.backlog import Backlog


class Everything:
    """The whole stream, in one piece, and how much of it a backlog should hold."""

    def __init__(self, size: int, offset: int) -> None:
        self.size = size
        self.before = offset
        self.stream = b""
        self.held = 0

    def append(self, data: bytes) -> None:
        self.stream += data
        self.held = min(self.held + len(data), self.size)

    def resize(self, size: int) -> None:
        self.size = size
        self.held = min(self.held, size)

    @property
    def offset(self) -> int:
        return self.before + len(self.stream)

    def since(self, offset: int) -> bytes | None:
        first = self.offset - self.held + 1
        if not first <= offset <= self.offset + 1:
            return None
        return self.stream[offset - 1 - self.before :]


STEPS = st.lists(
    st.one_of(
        st.binary(max_size=30).map(lambda data: ("append", data)),
        st.integers(1, 40).map(lambda size: ("resize", size)),
    ),
    max_size=30,
)


@given(st.integers(1, 40), st.integers(0, 1000), STEPS)
def test_holds_the_newest_bytes(size: int, offset: int, steps: list[tuple[str, bytes | int]]) -> None:
    backlog, everything = Backlog(size, offset), Everything(size, offset)
    for name, argument in steps:
        getattr(backlog, name)(argument)
        getattr(everything, name)(argument)
        assert backlog.offset == everything.offset
        assert backlog.histlen == everything.held
        assert backlog.first_byte == everything.offset - everything.held + 1
        for asked in range(everything.offset - size - 3, everything.offset + 4):
            expected = everything.since(asked)
            assert backlog.covers(asked) is (expected is not None)
            if expected is not None:
                assert backlog.since(asked) == expected


def test_bytes_that_are_gone_are_not_given() -> None:
    backlog = Backlog(4, 100)
    backlog.append(b"abcdef")
    assert (backlog.first_byte, backlog.offset, backlog.since(103)) == (103, 106, b"cdef")
    with pytest.raises(AssertionError):
        backlog.since(102)
