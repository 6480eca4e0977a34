"""Pipelines whose commands have one shape are read as any others are, whatever comes behind them."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from wire.decoder import Batch, Decoder
from wire.encoder import encode_command
from wire.shapes import shape_of

# A word that all commands have, or one of a length that all have.
_PLACES = st.lists(
    st.one_of(st.binary(max_size=6), st.integers(0, 6).map(lambda size: st.binary(min_size=size, max_size=size))),
    min_size=1,
    max_size=4,
)


def draw_pipeline(data: st.DataObject, places: list[object], count: int) -> list[list[bytes]]:
    return [
        [place if isinstance(place, bytes) else data.draw(place) for place in places]  # type: ignore[call-overload]
        for _ in range(count)
    ]


def encoded(commands: list[list[bytes]]) -> bytes:
    return b"".join(map(encode_command, commands))


@given(data=st.data(), places=_PLACES, counts=st.lists(st.integers(4, 9), min_size=2, max_size=4))
def test_commands_of_one_shape(data: st.DataObject, places: list[object], counts: list[int]) -> None:
    decoder = Decoder()
    for count in counts:
        commands = draw_pipeline(data, places, count)
        batch = decoder.feed(encoded(commands))
        first = data.draw(st.integers(0, count - 1))
        last = data.draw(st.integers(first + 1, count))
        assert batch.count == count
        assert batch.encoded(first, last) == encoded(commands[first:last])
        assert batch.commands == commands
        assert batch.encoded(first, last) == encoded(commands[first:last])


@given(
    data=st.data(),
    places=_PLACES,
    at=st.integers(0, 1 << 16),
    byte=st.sampled_from(b"$*0123\r\nx\0"),
    cut=st.integers(0, 60),
)
def test_a_chunk_that_is_almost_of_the_shape(
    data: st.DataObject, places: list[object], at: int, byte: int, cut: int
) -> None:
    """A byte is changed, and perhaps the end is missing: what is read is what one who knows of no shape reads."""
    decoder, other = Decoder(), Decoder()
    decoder.feed(encoded(draw_pipeline(data, places, 5)))
    chunk = bytearray(encoded(draw_pipeline(data, places, 5)))
    chunk[at % len(chunk)] = byte
    for piece in (bytes(chunk[: len(chunk) - cut]), encode_command([b"PING"]) * 3):
        mine, expected = decoder.feed(piece), other.feed(piece)
        assert mine.commands == expected.commands
        mistakes = [reader.error.text if reader.error is not None else None for reader in (decoder, other)]
        assert mistakes[0] == mistakes[1]
        assert decoder.buffered == other.buffered


@example(words=[b"SET", b"k", b"\r\n$1"])
@given(words=st.lists(st.binary(max_size=5), min_size=1, max_size=3))
def test_what_has_no_shape(words: list[bytes]) -> None:
    columns = [[word] * 4 for word in words]
    size = len(encode_command(words))
    shape = shape_of(columns, 4 * size)
    assert shape is not None
    assert shape.columns(encode_command(words) * 7) == [[word] * 7 for word in words]
    assert shape.columns(encode_command(words) * 7 + b"x") is None
    columns[-1][2] = words[-1] + b"x"
    assert shape_of(columns, 4 * size + 1) is None
    assert shape_of(columns, 4 * size + 4) is None


def test_the_shape_is_found_again() -> None:
    """It is forgotten with the first chunk that has another one; with that, the new one is known."""
    decoder = Decoder()
    for _ in range(2):
        for name in (b"GET", b"INCR"):
            for start in (0, 8):
                commands = [[name, b"key:%02d" % number] for number in range(start, start + 8)]
                batch = decoder.feed(encoded(commands))
                assert batch.commands == commands
                assert bool(batch.stride) is (start == 8)
                assert isinstance(batch, Batch)
