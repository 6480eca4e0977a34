"""BITPOS in strings longer than the pieces in which it looks, beside the same question to a real server."""

from __future__ import annotations

from random import Random

import pytest

from tests.node.conftest import Pair


@pytest.mark.parametrize("seed", range(4))
def test_a_lonely_bit_is_found_wherever_it_is(pair: Pair, seed: int) -> None:
    chance = Random(seed)
    ours, theirs = pair.connect()
    for _ in range(30):
        length = chance.choice([1, 1023, 1024, 1025, 5000])
        filler = chance.choice([0, 255])
        value = bytearray([filler]) * length
        for _ in range(chance.randrange(3)):
            value[chance.randrange(length)] ^= 1 << chance.randrange(8)
        bounds = [str(chance.choice([0, 1, 1023, 1024, 8191, 8192, 8193, -1, -9, -1025])) for _ in range(2)]
        for client in (ours, theirs):
            assert client.ask("SET", "bits", bytes(value)) == b"+OK\r\n"
        for bit in "01":
            for words in ([], bounds[:1], bounds, [*bounds, "BIT"]):
                asked = ("BITPOS", "bits", bit, *words)
                assert ours.ask(*asked) == theirs.ask(*asked), asked
