"""Short strings are written and read in a lane of their own, with the same outcome as in the usual one."""

from __future__ import annotations

import pytest

from node.persistence import lzf
from node.persistence.rdb_errors import RdbError, RdbTruncatedError
from node.persistence.rdb_reader import RdbReader
from node.persistence.rdb_types import Value
from node.persistence.rdb_writer import RdbWriter
from tests.node.persistence.test_rdb_files import Told

TEXTS = [
    *(b"", b"0", b"-1", b"12345", b"00123", b"-", b"9" * 11, b"9" * 12, b"abc", b":", b"/", b" 1", b"\xff"),
    *(b"x" * 10, b"x" * 11, b"x" * 12, b"x" * 62, b"x" * 63, b"x" * 64, b"x" * 65, bytes(63), bytes(64), b"long" * 100),
]


def everything() -> dict[bytes, Value]:
    """Each text as a key and as a value, and values that are changed in place."""
    shard: dict[bytes, Value] = {
        b"%b of %d" % (text, at): other for at, text in enumerate(TEXTS) for other in TEXTS[-1:]
    }
    shard |= {b"value %d" % at: text for at, text in enumerate(TEXTS)}
    shard |= dict.fromkeys(TEXTS, b"of a bare key")
    shard[b"in place"] = bytearray(b"12")
    return shard


def written(shard: dict[bytes, Value], *, in_the_lane: bool, compress: bool) -> bytes:
    pieces: list[bytes] = []
    writer = RdbWriter(pieces.append, compress=compress, checksum=True)
    writer.database(0, len(shard), 0)
    if in_the_lane:
        writer.entries(shard)
    else:
        for key, value in shard.items():
            writer.entry(key, value, None)
    writer.end()
    return b"".join(pieces)


@pytest.mark.parametrize("compress", [True, False])
def test_the_same_bytes(compress: bool) -> None:
    shard = everything()
    assert written(shard, in_the_lane=True, compress=compress) == written(shard, in_the_lane=False, compress=compress)


@pytest.mark.parametrize("step", [1, 7, 1 << 30], ids=["one by one", "in slices", "at once"])
def test_the_same_entries(step: int) -> None:
    shard = everything()
    told = Told()
    reader = RdbReader(written(shard, in_the_lane=True, compress=False), told)
    while not reader.read_some(step):
        pass
    assert {entry[1]: entry[2] for entry in told.entries} == {key: bytes(value) for key, value in shard.items()}  # type: ignore[arg-type]


def test_every_cut_is_noticed() -> None:
    data = written({b"key %d" % at: b"v" * (at % 70) for at in range(20)}, in_the_lane=True, compress=False)
    for end in range(9, len(data)):
        with pytest.raises(RdbTruncatedError):
            RdbReader(data[:end], Told()).read_all()


def with_compressed(packed: bytes, size: int) -> bytes:
    """A file of which the last value is compressed, as real servers do from 21 bytes on."""
    pieces: list[bytes] = []
    writer = RdbWriter(pieces.append, compress=False, checksum=False)
    writer.entries({b"before": b"value"})
    writer.end()
    whole = b"".join(pieces)
    record = b"\x00\x03key" + bytes((0xC3, len(packed), size)) + packed
    # Behind it enough for the lane, whose records end well before the file does.
    return whole[:-9] + record + b"\x00\x01a\x01b" * 40 + whole[-9:]


@pytest.mark.parametrize("text", [bytes(40), b"ab" * 20, b"value:1" + bytes(25), b"abcabcabcabcabcabcdefdefdef"])
def test_short_compressed_strings(text: bytes) -> None:
    packed = lzf.compress(text)
    assert packed is not None
    told = Told()
    RdbReader(with_compressed(packed, len(text)), told).read_all()
    assert told.entries[1][1:3] == (b"key", text)


@pytest.mark.parametrize("packed", [b"\x05abc", b"\x00a\xe0", b"\x00a\x20\x05", b"\x02abc", b"\x00a\xe0\xff\x00"])
def test_damaged_ones(packed: bytes) -> None:
    with pytest.raises(RdbError, match="Invalid LZF compressed string"):
        RdbReader(with_compressed(packed, 20), Told()).read_all()
