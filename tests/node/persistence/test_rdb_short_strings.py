"""Short strings are written and read in a lane of their own, with the same outcome as in the usual one."""

from __future__ import annotations

import pytest

from node.persistence.rdb_errors import RdbTruncatedError
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
