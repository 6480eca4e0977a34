"""The quick parser beside the scanner, which is the plain reading of Redis' rules: they must agree on any chunk."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wire.decoder import Batch, Decoder
from wire.encoder import encode_command
from wire.errors import ProtocolError

Outcome = tuple[list[list[bytes]], bytes | None]

word = st.one_of(st.binary(max_size=6), st.sampled_from([b"SET", b"\r\n", b"$1\r\nx", b"*2", b"k" * 4096]))
argv = st.lists(word, min_size=1, max_size=4)
pipeline = st.lists(argv, min_size=1, max_size=9)
# One command over and over, as a pipeline usually is: always as many words, mostly under one name.
alike = st.integers(1, 4).flatmap(
    lambda argc: st.lists(st.lists(word, min_size=argc, max_size=argc), min_size=4, max_size=9)
)
named_alike = alike.map(lambda commands: [[b"NAME", *argv[1:]] for argv in commands])


def read(data: bytes) -> tuple[Outcome, Batch]:
    decoder = Decoder()
    batch = decoder.feed(data)
    return (batch.commands, _text(decoder.error)), batch


def scan(data: bytes) -> Outcome:
    decoder = Decoder()
    commands: list[list[bytes]] = []
    decoder._scan(data, 0, commands)
    return commands, _text(decoder.error)


def _text(error: ProtocolError | None) -> bytes | None:
    return error.text if error is not None else None


@given(st.one_of(pipeline, alike, named_alike), st.data())
def test_a_pipeline_with_a_mistake_is_read_as_far_as_it_is_right(
    commands: list[list[bytes]], data: st.DataObject
) -> None:
    """A byte changed, lost or added anywhere: most often in a length, a count or at a line's end."""
    whole = b"".join(map(encode_command, commands))
    at = data.draw(st.integers(0, len(whole) - 1))
    put = data.draw(st.sampled_from([b"", b"0", b"1", b"2", b"-", b"\r", b"\r\n", b"$", b"*", b"x"]))
    lost = data.draw(st.integers(0, 1))
    broken = whole[:at] + put + whole[at + lost :]
    assert read(broken)[0] == scan(broken)


@given(st.one_of(pipeline, alike, named_alike), st.data())
def test_a_chunk_may_end_anywhere(commands: list[list[bytes]], data: st.DataObject) -> None:
    whole = b"".join(map(encode_command, commands))
    chunk = whole[: data.draw(st.integers(0, len(whole)))]
    assert read(chunk)[0] == scan(chunk)


@given(st.one_of(pipeline, alike, named_alike))
def test_alike_is_said_only_of_commands_that_are(commands: list[list[bytes]]) -> None:
    (_, error), batch = read(b"".join(map(encode_command, commands)))
    assert error is None
    assert batch.commands == commands
    if batch.columns is not None:
        assert len({(argv[0], len(argv)) for argv in commands}) == 1


@pytest.mark.parametrize("line", [b"*2", b"*4", b"*0", b"$3", b"*x", b"x3", b"*03", b""])
@pytest.mark.parametrize("which", [0, 1, 5, 7])
def test_each_command_says_for_itself_how_many_words_it_has(line: bytes, which: int) -> None:
    command = encode_command([b"SET", b"k", b"v"])
    wrong = command.replace(b"*3", line)
    data = command * which + wrong + command * (7 - which)
    assert read(data)[0] == scan(data)
    assert read(data)[0][0][:which] == [[b"SET", b"k", b"v"]] * which


@pytest.mark.parametrize("count", [4, 64])
def test_a_pipeline_of_one_command_is_known_as_such(count: int) -> None:
    data = encode_command([b"GET", b"k"]) * count
    assert read(data)[1].columns is not None
    assert read(data + b"PING\r\n")[1].columns is None
    assert read(data + encode_command([b"DEL", b"k"]))[1].columns is None


@example([5000])
@example([4095, 4096, 4097])
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=6))
def test_long_values_are_read_whatever_stands_around_them(lengths: list[int]) -> None:
    commands = [[b"SET", b"k", b"v" * length] for length in lengths]
    data = b"".join(map(encode_command, commands))
    outcome, batch = read(data)
    assert outcome == (commands, None) == scan(data)
    assert batch.encoded(0, len(commands)) == data
