"""Commands in a file, and files that end where they should not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.persistence.aof.reading import CommandReader, FormatError, TornError
from wire.encoder import encode_command

COMMANDS = st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=4), max_size=8)
SET = encode_command([b"SET", b"k", b"v"])


def read(data: bytes) -> tuple[list[list[bytes]], int, type[Exception] | None]:
    """The whole commands, where the last one ends, and what was wrong then."""
    reader = CommandReader(data)
    commands = []
    try:
        while (argv := reader.next()) is not None:
            commands.append(argv)
    except (TornError, FormatError) as error:
        return commands, reader.position, type(error)
    return commands, reader.position, None


@given(COMMANDS)
def test_what_was_written_is_read(commands: list[list[bytes]]) -> None:
    data = b"#TS:1\r\n".join(encode_command(argv) for argv in commands)
    assert read(data) == (commands, len(data), None)


def test_a_file_cut_anywhere_gives_what_is_whole() -> None:
    """At every byte of the last 4 KB, also when zeros stand where the rest should be."""
    chance = random.Random(4)
    commands: list[list[bytes]] = []
    data, ends = b"", [0]
    while len(data) < 4096:
        argv = [b"SET", b"key:%d" % len(commands), chance.randbytes(chance.choice([0, 1, 9, 100]))]
        commands.append(argv)
        data += encode_command(argv)
        ends.append(len(data))
        if chance.random() < 0.2:
            data += b"#TS:%d\r\n" % len(data)
    for size in range(len(data)):
        whole = sum(end <= size for end in ends) - 1
        read_commands, position, wrong = read(data[:size])
        assert read_commands == commands[:whole]
        cut_between = size == ends[whole] or (wrong is None and data[ends[whole] : size].endswith(b"\n"))
        assert wrong is (None if cut_between else TornError), size
        assert position == (size if cut_between else ends[whole])
        if size % 5 == 0:
            assert read(data[:size] + bytes(50))[2] is TornError


DAMAGED = [
    b"abc",
    b"*0\r\n",
    b"*x\r\n",
    b"*-1\r\n",
    b"*1\r\n+OK\r\n",
    b"*1\r\n$x\r\nPING\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$4\r\nPINGxx",
    b"*1\r\n$99999999999999999999\r\n",
    b"\0\0\0\0x",
    b"\r\n",
    b"*1x",
    b"GET k\r\n",
]


@pytest.mark.parametrize("data", DAMAGED)
def test_what_is_no_command_is_no_torn_tail(data: bytes) -> None:
    assert read(SET + data) == ([[b"SET", b"k", b"v"]], len(SET), FormatError)


@given(st.binary(max_size=60))
def test_bytes_at_random_are_refused_and_nothing_else(data: bytes) -> None:
    read(b"*2\r\n$1\r\n" + data)
    read(data)
