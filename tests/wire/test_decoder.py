"""Requests read whole, in single bytes, cut anywhere, and with more behind them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.quoting import split_quoted
from wire.decoder import Batch, Decoder
from wire.encoder import encode_command

SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"

CASES = [
    (SET, [[b"SET", b"k", b"v"]]),
    (SET * 3, [[b"SET", b"k", b"v"]] * 3),
    (b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", [[b"GET", b""]]),
    (b"*2\r\n$4\r\nECHO\r\n$6\r\na\r\nb\r\n\r\n", [[b"ECHO", b"a\r\nb\r\n"]]),
    (b"*2\r\n$4\r\nECHO\r\n$5000\r\n" + b"x" * 5000 + b"\r\n", [[b"ECHO", b"x" * 5000]]),
    # What looks like a header inside a value is a value.
    (b"*2\r\n$4\r\nECHO\r\n$8\r\n*1\r\n$4\r\n\r\n", [[b"ECHO", b"*1\r\n$4\r\n"]]),
    (b"*0\r\n*-1\r\n" + SET, [[b"SET", b"k", b"v"]]),
    (b"PING\r\n", [[b"PING"]]),
    (b"\r\n\n  \r\nset a 'b c'\n" + SET, [[b"set", b"a", b"b c"], [b"SET", b"k", b"v"]]),
    (SET + b"PING\r\n" + SET, [[b"SET", b"k", b"v"], [b"PING"], [b"SET", b"k", b"v"]]),
    # The bytes behind a value are skipped, not verified.
    (b"*1\r\n$4\r\nPINGxx" + SET, [[b"PING"], [b"SET", b"k", b"v"]]),
]


def commands_of(*chunks: bytes) -> list[list[bytes]]:
    decoder = Decoder()
    found = [command for chunk in chunks for command in decoder.feed(chunk).commands]
    assert decoder.error is None
    return found


@pytest.mark.parametrize(("data", "expected"), CASES)
def test_requests_are_read_however_they_are_cut(data: bytes, expected: list[list[bytes]]) -> None:
    assert commands_of(data) == expected
    assert commands_of(*(data[at : at + 1] for at in range(len(data)))) == expected
    for cut in range(1, min(len(data), 120)):
        assert commands_of(data[:cut], data[cut:]) == expected


ERRORS = [
    (b"*abc\r\n", b"invalid multibulk length"),
    (b"*2147483648\r\n", b"invalid multibulk length"),
    (b"*1\r\nPING\r\n", b"expected '$', got 'P'"),
    (b"*1\r\n\r\n", b"expected '$', got '\r'"),
    (b"*1\r\n$abc\r\n", b"invalid bulk length"),
    (b"*1\r\n$-1\r\n", b"invalid bulk length"),
    (b"*1\r\n$536870913\r\n", b"invalid bulk length"),
    (b"*1\r\n$+4\r\nPING\r\n", b"invalid bulk length"),
    (b"get 'a\r\n", b"unbalanced quotes in request"),
    (b'get "a"b\r\n', b"unbalanced quotes in request"),
    (b"x" * 70000, b"too big inline request"),
    (b"*" + b"1" * 70000, b"too big mbulk count string"),
    (b"*1\r\n$" + b"1" * 70000, b"too big bulk count string"),
]


@pytest.mark.parametrize(("data", "text"), ERRORS)
def test_a_broken_request_ends_the_reading(data: bytes, text: bytes) -> None:
    decoder = Decoder()
    assert decoder.feed(SET).commands == [[b"SET", b"k", b"v"]]
    batch = decoder.feed(SET + data)
    assert batch.commands == [[b"SET", b"k", b"v"]], "what came before the mistake is still executed"
    assert decoder.error is not None
    assert decoder.error.text == b"ERR Protocol error: " + text
    assert decoder.feed(SET).commands == []


def test_before_authentication_only_small_requests_are_read() -> None:
    decoder = Decoder()
    decoder.limited = True
    assert decoder.feed(b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n").commands == [[b"AUTH", b"x"]]
    decoder.feed(b"*11\r\n")
    assert decoder.error is not None
    assert decoder.error.text.endswith(b"unauthenticated multibulk length")
    decoder = Decoder()
    decoder.limited = True
    decoder.feed(b"*1\r\n$16385\r\n")
    assert decoder.error is not None
    assert decoder.error.text.endswith(b"unauthenticated bulk length")


def test_a_huge_value_in_small_chunks_is_not_copied_again_and_again() -> None:
    decoder = Decoder()
    size = 8_000_000
    decoder.feed(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % size)
    chunk = b"x" * 16_000
    for _ in range(size // len(chunk)):
        assert decoder.feed(chunk).commands == []
    # Joined once at the end: until then the chunks are kept as they came.
    assert decoder.buffered == size
    assert decoder.feed(b"\r\n").commands == [[b"SET", b"k", b"x" * size]]
    assert decoder.buffered == 0


arguments = st.lists(st.binary(max_size=30), min_size=1, max_size=5)


@given(st.lists(arguments, min_size=1, max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_any_pipeline_is_read_back_however_it_is_cut(pipeline: list[list[bytes]], cuts: list[int]) -> None:
    data = b"".join(encode_command(argv) for argv in pipeline)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = Decoder()
    found: list[list[bytes]] = []
    passed_on = b""
    for start, stop in itertools.pairwise(places):
        batch = decoder.feed(data[start:stop])
        found += batch.commands
        passed_on += batch.encoded(0, len(batch.commands)) if batch.commands else b""
    assert found == pipeline
    assert passed_on == data


@given(st.lists(arguments, min_size=2, max_size=8), st.data())
def test_a_run_of_commands_is_given_back_as_its_bytes(pipeline: list[list[bytes]], data: st.DataObject) -> None:
    batch = Decoder().feed(b"".join(encode_command(argv) for argv in pipeline))
    first = data.draw(st.integers(0, len(pipeline) - 1))
    last = data.draw(st.integers(first + 1, len(pipeline)))
    assert batch.encoded(first, last) == b"".join(encode_command(argv) for argv in pipeline[first:last])


@given(st.binary(max_size=300))
def test_no_input_breaks_the_decoder(data: bytes) -> None:
    decoder = Decoder()
    batch = decoder.feed(data)
    assert isinstance(batch, Batch)
    assert decoder.buffered <= len(data)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"a b  c", [b"a", b"b", b"c"]),
        (b'"a b" c', [b"a b", b"c"]),
        (b'"\\x41\\n\\t\\\\\\"" x', [b'A\n\t\\"', b"x"]),
        (b"'it\\'s' \"\"", [b"it's", b""]),
        (b'a"b"', [b"ab"]),
        (b'"open', None),
        (b"'a'b", None),
        (b"", []),
    ],
)
def test_inline_words_are_split_as_redis_splits_them(line: bytes, words: list[bytes] | None) -> None:
    assert split_quoted(line) == words


@pytest.mark.parametrize("argv", [[b"PING"], [b"GET", b"k"], [b"SET", b"k", b""], [b"MSET", *[b"k", b"v"] * 10]])
def test_one_command_by_itself_is_told_from_a_batch(argv: list[bytes]) -> None:
    request = encode_command(argv)
    decoder = Decoder()
    assert decoder.read(request) == argv
    batch = decoder.read(request * 2)
    assert isinstance(batch, Batch)
    assert batch.commands == [argv] * 2
    # In two parts it is a batch of one.
    for cut in range(1, len(request)):
        assert decoder.feed(request[:cut]).commands == []
        batch = decoder.read(request[cut:])
        assert isinstance(batch, Batch)
        assert batch.commands == [argv]
    assert decoder.read(request) == argv


def test_one_command_with_a_wrong_length_is_left_to_the_scanner() -> None:
    decoder = Decoder()
    assert decoder.feed(b"*2\r\n$3\r\nGET\r\n$2\r\nk\r\n").commands == []
    assert decoder.feed(b"\r\n").commands == [[b"GET", b"k\r"]]


def test_before_authentication_nothing_is_taken_unseen() -> None:
    decoder = Decoder()
    decoder.limited = True
    assert isinstance(decoder.read(encode_command([b"GET", b"k"])), Batch)
    decoder.limited = False
    assert decoder.read(encode_command([b"GET", b"k"])) == [b"GET", b"k"]
