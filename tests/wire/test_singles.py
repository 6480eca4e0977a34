"""Shapes of commands that come by themselves: they accept what the parser reads, and nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from node.commands import strings
from wire.decoder import Decoder
from wire.encoder import encode_command
from wire.singles import SINGLE_END, Crowd, Single, Singles
from wire.table import Command, CommandTable

TABLE = CommandTable([strings], lambda spec: 0)
SET = TABLE.by_name[b"SET"]

words = st.lists(st.binary(max_size=12) | st.sampled_from([b"%", b"%b", b"\r\n", b"$1\r\na"]), min_size=1, max_size=4)


def read(single: Single, chunk: bytes) -> list[bytes] | None:
    """As a connection does."""
    found = single.unpack(chunk)
    return [single.name, *found] if single.template % found == chunk else None


@given(words, words, st.data())
@example([b"GET", b"ab"], [b"GET", b"\r\n"], None)
def test_a_shape_reads_what_the_parser_reads(argv: list[bytes], other: list[bytes], data: Any) -> None:
    chunk = encode_command(argv)
    single = Single(SET, argv)
    assert read(single, chunk) == argv
    # The same lengths, other arguments.
    like = [argv[0], *(bytes(reversed(word)) for word in argv[1:])]
    assert read(single, encode_command(like)) == like
    # Anything else that is as long.
    strange = [encode_command(other)]
    if data is not None:
        at = data.draw(st.integers(0, len(chunk) - 1))
        strange.append(chunk[:at] + data.draw(st.binary(min_size=1, max_size=1)) + chunk[at + 1 :])
    for text in strange:
        if len(text) != len(chunk):
            continue
        found = read(single, text)
        decoder = Decoder()
        batch = decoder.feed(text)
        if found is not None:
            assert batch.commands == [found]
            assert decoder.error is None
            assert not decoder.buffered


def found(singles: Singles, *argv: bytes) -> Command | None:
    return singles.find(list(argv), len(encode_command(argv)))


def test_a_shape_is_kept_of_what_comes_often_and_can_run() -> None:
    singles = Singles(TABLE.by_name)
    size = len(encode_command([b"SET", b"key", b"value"]))
    for number in range(100):
        assert found(singles, b"SET", b"k%02d" % number, b"value") is SET
        assert found(singles, b"NOSUCH", b"k%02d" % number, b"va") is None
        # Too many arguments, and of the length of the first.
        assert found(singles, b"GET", b"k", b"value12") is None
        assert found(singles, b"SET", b"k%02d" % number, b"x" * 2 * SINGLE_END) is SET
    single = singles.by_size[size]
    assert single is not None
    assert single.command is SET
    assert sum(shape is not None for shape in singles.by_size) == 1
    # Other commands of that length take its place when they come often.
    get = TABLE.by_name[b"GET"]
    for _ in range(100):
        assert found(singles, b"GET", b"x" * (size - len(encode_command([b"GET", b""])) - 1)) is get
    replaced = singles.by_size[size]
    assert replaced is not None
    assert replaced.command is get


def _stretching() -> Command:
    """SET, as in a table whose commands can be run together."""
    command = CommandTable([strings], lambda spec: 0).all["set"]
    command.stretch = lambda *_: 0
    command.stretch_argc = 3
    return command


def test_a_crowd_learns_which_words_differ() -> None:
    crowd = Crowd(_stretching(), [b"SET", b"key", b"one"])

    def read(*pairs: tuple[bytes, bytes]) -> list[list[bytes]] | None:
        data = b"".join(encode_command([b"SET", *pair]) for pair in pairs)
        return crowd.shape.columns(data) or crowd.learn(data)

    alike = [(b"key", b"one"), (b"key", b"one")]
    assert read(*alike) == [[b"SET"] * 2, [b"key"] * 2, [b"one"] * 2]
    others = [(b"key", b"two"), (b"key", b"one"), (b"key", b"\r\n$")]
    assert read(*others) == [[b"SET"] * 3, [b"key"] * 3, [b"two", b"one", b"\r\n$"]]
    more = [(b"k:1", b"two"), (b"k:2", b"two")]
    assert read(*more) == [[b"SET"] * 2, [b"k:1", b"k:2"], [b"two"] * 2]
    for pairs in (alike, others, more):
        assert crowd.shape.columns(b"".join(encode_command([b"SET", *pair]) for pair in pairs)) is not None
    assert read((b"ke", b"four")) is None
    assert crowd.learn(encode_command([b"GET", b"key", b"one"])) is None


def test_what_gathers_in_vain_rests_for_a_while() -> None:
    command = _stretching()
    singles = Singles({b"SET": command})
    size = len(encode_command([b"SET", b"key", b"value"]))
    for number in range(20):
        found(singles, b"SET", b"k%02d" % number, b"value")
    assert singles.crowds[size] is None
    singles.reopen()
    crowd = singles.crowds[size]
    assert crowd is not None
    # Two at a time, which is too few, until it is enough; after many together more are forgiven.
    in_vain = next(count for count in range(100) if not crowd.settle(0, 2))
    singles.rest(size)
    assert singles.crowds[size] is None
    singles.reopen()
    assert singles.crowds[size] is crowd
    for _ in range(100):
        assert crowd.settle(50, 0)
    assert next(count for count in range(100) if not crowd.settle(0, 2)) > in_vain
    # A command that cannot be run together has none.
    assert Single(TABLE.by_name[b"GET"], [b"GET", b"key"]).crowd() is None
