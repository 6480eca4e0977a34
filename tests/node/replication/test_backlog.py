"""The backlog beside a dumb version that keeps everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.replication.backlog import Backlog

# What a block may hold at most in these tests: the least that is asked for, as the sizes are small.
BLOCK = 4


class Everything:
    """The whole stream, in one piece, and from where on somebody needs it."""

    def __init__(self, size: int, offset: int) -> None:
        self.size = size
        self.before = offset
        self.stream = b""
        self.needed: dict[object, int] = {}

    def append(self, data: bytes) -> None:
        self.stream += data

    def resize(self, size: int) -> None:
        self.size = size

    def hold(self, who: object) -> None:
        self.needed[who] = self.offset + 1

    def let_go(self, who: object) -> bytes:
        return self.since(self.needed.pop(who, self.offset + 1))

    @property
    def offset(self) -> int:
        return self.before + len(self.stream)

    def since(self, offset: int) -> bytes:
        return self.stream[offset - 1 - self.before :]


STEPS = st.lists(
    st.one_of(
        st.binary(max_size=30).map(lambda data: ("append", data)),
        st.integers(1, 40).map(lambda size: ("resize", size)),
        st.integers(1, 3).map(lambda who: ("hold", who)),
        st.integers(1, 3).map(lambda who: ("let_go", who)),
    ),
    max_size=30,
)


@given(st.integers(1, 40), st.integers(0, 1000), STEPS)
def test_holds_the_newest_bytes_and_those_that_are_needed(
    size: int, offset: int, steps: list[tuple[str, bytes | int]]
) -> None:
    backlog, everything = Backlog(size, offset, BLOCK), Everything(size, offset)
    most = 0
    for name, argument in steps:
        if name == "hold" and argument in everything.needed:
            continue
        assert getattr(backlog, name)(argument) == getattr(everything, name)(argument)
        assert backlog.offset == everything.offset
        first, last = backlog.first_byte, backlog.offset
        # What has been dropped once does not come back.
        most = max(most, first)
        assert first == most
        wanted = min(everything.size, len(everything.stream))
        needed = min(everything.needed.values(), default=last + 1)
        assert first <= needed
        if name == "append":
            # No more than there should be, to the block; the one that is being filled comes on top.
            assert backlog.histlen < max(wanted, last + 1 - needed) + 2 * BLOCK
        assert all(backlog.kept_for(who) == last + 1 - needed for who, needed in everything.needed.items())
        assert backlog.memory >= backlog.histlen
        for asked in range(first - 3, last + 4):
            assert backlog.covers(asked) is (first <= asked <= last + 1)
            if backlog.covers(asked):
                assert backlog.since(asked) == everything.since(asked)


@given(st.integers(1, 40), st.lists(st.binary(max_size=30)))
def test_as_much_as_was_asked_for(size: int, pieces: list[bytes]) -> None:
    backlog = Backlog(size, 0, BLOCK)
    for piece in pieces:
        backlog.append(piece)
        assert backlog.histlen >= min(size, backlog.offset)


def test_bytes_that_are_gone_are_not_given() -> None:
    backlog = Backlog(4, 100, 2)
    backlog.append(b"abcdef")
    assert (backlog.first_byte, backlog.offset, backlog.since(103)) == (103, 106, b"cdef")
    with pytest.raises(AssertionError):
        backlog.since(102)


def test_who_is_gone_needs_nothing() -> None:
    backlog = Backlog(4, 100, 2)
    backlog.hold("a")
    backlog.append(b"abcdef")
    backlog.hold("b")
    backlog.append(b"ghijkl")
    assert backlog.since(101) == b"abcdefghijkl"
    backlog.forget("a")
    assert (backlog.first_byte, backlog.kept_for("a"), backlog.kept_for("b")) == (107, 0, 6)
    assert backlog.let_go("b") == b"ghijkl"
    assert backlog.first_byte == 109
