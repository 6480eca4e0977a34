"""The reply splitter agrees with hiredis on where replies end, however the stream is cut."""

from __future__ import annotations

import random

import hiredis
import pytest

from proxy.reply_splitter import ReplyError, ReplySplitter

CASES = {
    "simple": b"+OK\r\n",
    "error": b"-MOVED 1 127.0.0.1:1\r\n",
    "integer": b":42\r\n",
    "bulk": b"$3\r\nabc\r\n",
    "empty bulk": b"$0\r\n\r\n",
    "null bulk": b"$-1\r\n",
    "null array": b"*-1\r\n",
    "CRLF in the value": b"$8\r\na\r\n$1\r\nb\r\n",
    "value that looks like a reply": b"$5\r\n+OK\r\n\r\n",
    "long bulk": b"$5000\r\n" + b"x" * 5000 + b"\r\n",
    "empty array": b"*0\r\n",
    "array": b"*3\r\n:1\r\n$-1\r\n-ERR inside\r\n",
    "nested": b"*2\r\n*2\r\n+a\r\n*0\r\n*1\r\n$1\r\nz\r\n",
    "map": b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
    "set": b"~2\r\n:1\r\n:2\r\n",
    "null": b"_\r\n",
    "double": b",1.5\r\n",
    "boolean": b"#t\r\n",
    "big number": b"(123456789012345678901234567890\r\n",
    "verbatim": b"=7\r\ntxt:abc\r\n",
    "push": b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n",
}


def split(chunks: list[bytes]) -> tuple[list[bytes], list[int]]:
    """All replies found in the chunks, and the numbers of those that are errors."""
    splitter = ReplySplitter()
    replies: list[bytes] = []
    errors: list[int] = []
    for chunk in chunks:
        ends = splitter.feed(chunk)
        errors += [len(replies) + place for place in splitter.errors]
        replies += [splitter.data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return replies, errors


@pytest.mark.parametrize("name", CASES)
def test_one_reply_whole_in_single_bytes_and_with_more_behind(name: str) -> None:
    reply = CASES[name]
    expected_errors = [0] if name == "error" else []
    assert split([reply]) == ([reply], expected_errors)
    assert split([reply[i : i + 1] for i in range(len(reply))]) == ([reply], expected_errors)
    assert split([reply + b"+next\r\n$1"]) == ([reply, b"+next\r\n"], expected_errors)


def test_attribute_belongs_to_the_reply_behind_it() -> None:
    reply = b"|1\r\n+key\r\n*2\r\n:1\r\n:2\r\n*1\r\n:7\r\n"
    assert split([reply + b":1\r\n"]) == ([reply, b":1\r\n"], [])
    assert split([bytes([byte]) for byte in reply]) == ([reply], [])


@pytest.mark.parametrize("seed", range(20))
def test_random_streams_cut_anywhere(seed: int) -> None:
    rng = random.Random(seed)
    replies = [rng.choice(list(CASES.values())) for _ in range(100)]
    stream = b"".join(replies)
    cuts = sorted(rng.randrange(len(stream)) for _ in range(rng.choice((0, 3, 60))))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert split(chunks) == (replies, [i for i, reply in enumerate(replies) if reply[:1] == b"-"])
    # The same count as a reader that decodes.
    reader = hiredis.Reader(notEnoughData=StopIteration)
    reader.feed(stream)
    decoded = 0
    while reader.gets() is not StopIteration:
        decoded += 1
    assert decoded == len(replies)


@pytest.mark.parametrize("stream", [b"hello\r\n", b"$abc\r\n", b"*x\r\n", b"$99999999999999\r\n", b"*-7\r\n", b"\r\n"])
def test_what_is_not_resp_is_refused(stream: bytes) -> None:
    with pytest.raises(ReplyError):
        split([stream])


def test_a_large_reply_in_small_pieces_is_kept_once() -> None:
    splitter = ReplySplitter()
    element = b"$1000\r\n" + b"x" * 1000 + b"\r\n"
    reply = b"*2000\r\n" + element * 2000
    for start in range(0, len(reply) - 700, 700):
        assert splitter.feed(reply[start : start + 700]) == []
        assert splitter.buffered == start + 700
    last = len(reply) - splitter.buffered
    assert splitter.feed(reply[-last:] + b"+OK\r\n") == [len(reply), len(reply) + 5]
    assert splitter.buffered == 0
