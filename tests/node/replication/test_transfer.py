"""The two framings of a copy, whole and in pieces."""

from __future__ import annotations

import pytest

from node.replication.transfer import Transfer, TransferError

MARK = b"0123456789" * 4
COPY = b"REDIS0010 and so on \r\n with $-1 inside" * 10


def in_pieces(data: bytes, size: int) -> tuple[bytes, bytes] | None:
    """What a transfer makes of `data` that arrives `size` bytes at a time; the end must come with the last piece."""
    transfer = Transfer()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    for piece in pieces[:-1]:
        assert transfer.receive(piece) is None
    return transfer.receive(pieces[-1])


SIZES = [1, 2, 7, 39, 40, 41, 1 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_a_copy_of_announced_length(size: int) -> None:
    assert in_pieces(b"\n\n$%d\r\n%b" % (len(COPY), COPY), size) == (COPY, b"")


def test_the_stream_follows_an_announced_copy_directly() -> None:
    data = b"$%d\r\n%b*1\r\n" % (len(COPY), COPY)
    assert in_pieces(data, len(data)) == (COPY, b"*1\r\n")


@pytest.mark.parametrize("size", SIZES)
def test_a_copy_between_marks(size: int) -> None:
    assert in_pieces(b"\n$EOF:%b\r\n%b%b" % (MARK, COPY, MARK), size) == (COPY, b"")


def test_a_copy_that_contains_most_of_its_mark() -> None:
    copy = MARK[:-1] + MARK[:-1] + b"!"
    assert in_pieces(b"$EOF:%b\r\n%b%b" % (MARK, copy, MARK), 1) == (copy, b"")


def test_an_empty_copy() -> None:
    assert in_pieces(b"$0\r\n", 4) == (b"", b"")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("framed", "behind"),
    [(b"$%d\r\n%b" % (len(COPY), COPY), b""), (b"$EOF:%b\r\n%b%b" % (MARK, COPY, MARK), b"")],
)
def test_a_copy_that_is_passed_on_as_it_comes(size: int, framed: bytes, behind: bytes) -> None:
    kept: list[bytes] = []
    transfer = Transfer(kept.append)
    pieces = [framed[start : start + size] for start in range(0, len(framed), size)]
    for piece in pieces[:-1]:
        assert transfer.receive(piece) is None
    assert transfer.receive(pieces[-1]) == (b"", behind)
    assert b"".join(kept) == COPY


def test_how_far_it_has_come() -> None:
    transfer = Transfer()
    transfer.receive(b"$10\r\nabc")
    assert (transfer.total, transfer.received, transfer.marked) == (10, 3, False)
    transfer = Transfer()
    transfer.receive(b"$EOF:%b\r\nabc" % MARK)
    assert (transfer.total, transfer.received, transfer.marked) == (0, 3, True)


REFUSED = [
    pytest.param(b"-ERR nothing for you\r\n", "nothing for you", id="an error"),
    pytest.param(b"+OK\r\n", "received '.OK'", id="something else"),
    pytest.param(b"$EOF:short\r\n", "we received", id="a mark that is none"),
    pytest.param(b"$-1\r\n", "we received", id="no length"),
    pytest.param(b"x" * 2000, "too long", id="no line at all"),
]


@pytest.mark.parametrize(("data", "said"), REFUSED)
def test_a_master_that_sends_no_copy(data: bytes, said: str) -> None:
    with pytest.raises(TransferError, match=said):
        Transfer().receive(data)
