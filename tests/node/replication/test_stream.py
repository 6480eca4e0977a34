"""What a replica may apply, and how far that brings it."""

from __future__ import annotations

import random

import pytest

from node.replication.stream import StreamError, StreamReader
from wire.encoder import encode_command

SET = encode_command([b"SET", b"k", b"v"])
MULTI = encode_command([b"MULTI"])
EXEC = encode_command([b"exec"])
PING = b"*1\r\n$4\r\nping\r\n"
GETACK = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"
BIG = encode_command([b"SET", b"big", b"line\r\n" * 2000])


def apply(reader: StreamReader, *pieces: bytes) -> tuple[int, list[bytes], bytes]:
    """(offset, command names, bytes) of everything that can be applied."""
    names: list[bytes] = []
    data = b""
    for piece in pieces:
        portion = reader.receive(piece)
        if portion is not None:
            names += [argv[0] for argv in portion.commands]
            data += portion.data
    return len(data), names, data


def test_the_sizes_in_the_fact_sheet() -> None:
    assert (len(PING), len(GETACK)) == (14, 37)


def test_whole_commands_count_and_cut_ones_do_not() -> None:
    reader = StreamReader()
    assert apply(reader, SET + PING + SET[:10]) == (len(SET + PING), [b"SET", b"ping"], SET + PING)
    assert reader.unapplied > 0
    assert apply(reader, SET[10:]) == (len(SET), [b"SET"], SET)
    assert reader.unapplied == 0


def test_a_transaction_counts_when_its_exec_has_come() -> None:
    reader = StreamReader()
    assert apply(reader, SET + MULTI + SET) == (len(SET), [b"SET"], SET)
    assert reader.unapplied == len(MULTI + SET)
    assert apply(reader, SET) == (0, [], b"")
    whole = MULTI + SET + SET + EXEC
    assert apply(reader, EXEC + PING) == (
        len(whole + PING),
        [b"MULTI", b"SET", b"SET", b"exec", b"ping"],
        whole + PING,
    )


def test_newlines_are_signs_of_life_and_count_for_nothing() -> None:
    assert apply(StreamReader(), b"\n", SET + b"\n", b"\r\n" + PING)[2] == SET + PING


def test_an_acknowledgement_speaks_of_what_was_before_it_was_asked_for() -> None:
    portion = StreamReader().receive(SET + GETACK + SET)
    assert portion is not None
    assert portion.getack_at == len(SET)
    portion = StreamReader().receive(SET + GETACK + SET + GETACK)
    assert portion is not None
    assert portion.getack_at == len(SET + GETACK + SET)
    portion = StreamReader().receive(SET)
    assert portion is not None
    assert portion.getack_at is None


@pytest.mark.parametrize("seed", range(30))
def test_however_the_stream_is_cut_its_bytes_go_on_unchanged(seed: int) -> None:
    chance = random.Random(seed)
    units = [SET, PING, GETACK, BIG, MULTI + SET + PING + EXEC, MULTI + EXEC]
    stream = b"".join(chance.choice(units) for _ in range(40))
    reader = StreamReader()
    relayed = b""
    start = 0
    while start < len(stream):
        size = chance.choice([1, 3, 50, 1000, 20000])
        portion = reader.receive(stream[start : start + size])
        start += size
        if portion is not None:
            relayed += portion.data
            # What has been relayed always ends behind a command outside of transactions.
            assert relayed == stream[: len(relayed)]
            assert stream[: len(relayed)].count(MULTI) == stream[: len(relayed)].count(EXEC)
    assert relayed == stream


def test_what_is_not_a_stream_is_refused() -> None:
    with pytest.raises(StreamError):
        StreamReader().receive(b"*1\r\n!4\r\nPING\r\n")
