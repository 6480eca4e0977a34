"""Whole files: what the reader makes of them, what the writer makes, and what is refused with which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from struct import pack
from subprocess import run

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.persistence.crc64 import crc64
from node.persistence.rdb_errors import RdbError, RdbTruncatedError
from node.persistence.rdb_reader import RdbReader, checking
from node.persistence.rdb_types import Value
from node.persistence.rdb_writer import RdbWriter
from tests.node.own_server import OwnServer


class Told:
    """A target that remembers what it was told."""

    def __init__(self) -> None:
        self.remarks: dict[bytes, bytes] = {}
        self.functions: list[bytes] = []
        self.entries: list[tuple[int, bytes, Value, int | None]] = []
        self.uses: dict[bytes, tuple[int | None, int | None]] = {}
        self.modules: list[tuple[str, bytes | None]] = []
        self.empty_keys: list[bytes] = []
        self._database = 0

    def aux(self, key: bytes, value: bytes) -> None:
        self.remarks[key] = value

    def function(self, source: bytes) -> None:
        self.functions.append(source)

    def select(self, index: int) -> None:
        self._database = index

    def entry(self, key: bytes, value: Value, expire_at_ms: int | None) -> None:
        self.entries.append((self._database, key, value, expire_at_ms))

    def empty(self, key: bytes) -> None:
        self.empty_keys.append(key)

    def used(self, key: bytes, idle_s: int | None, frequency: int | None) -> None:
        self.uses[key] = (idle_s, frequency)

    def module(self, type_name: str, key: bytes | None) -> None:
        self.modules.append((type_name, key))


def read(data: bytes) -> Told:
    told = Told()
    RdbReader(data, told).read_all()
    return told


def check_whole(data: bytes) -> None:
    for _ in checking(data):
        pass


def file(records: str, version: bytes = b"0010", checksum: int | None = None) -> bytes:
    data = b"REDIS" + version + bytes.fromhex(records) + b"\xff"
    return data + pack("<Q", crc64(data) if checksum is None else checksum)


KEY = "00 016b 0176"  # k = v


def test_the_smallest_files() -> None:
    single = bytes.fromhex("524544495330303039fe0000016b0176fff1c3f12d87e2af85")
    assert read(single).entries == [(0, b"k", b"v", None)]
    assert read(bytes.fromhex("524544495330303039ff9aac7abcfb0fad74")).entries == []


def test_every_record_about_a_key() -> None:
    told = read(
        file(
            "fa 0161 c00a"  # AUX a = 10
            "f5 03666f6f"  # a library
            "fe 02 fb 05 01"  # SELECTDB 2, RESIZEDB
            "fc 0100000000000000 00 0161 0131"  # expiry in milliseconds
            "fd 02000000 00 0162 c02a"  # expiry in seconds
            "f8 4064 00 0163 0133"  # idle time
            "fc 0300000000000000 f9 05 00 0164 0134"  # expiry and frequency
            "fe 00 00 0165 0135"
        )
    )
    assert told.remarks == {b"a": b"10"}
    assert told.uses == {b"c": (100, None), b"d": (None, 5)}
    assert told.functions == [b"foo"]
    assert told.entries == [
        (2, b"a", b"1", 1),
        (2, b"b", b"42", 2000),
        (2, b"c", b"3", None),
        (2, b"d", b"4", 3),
        (0, b"e", b"5", None),
    ]


# The id of type "ReJSON-RL" with version 3 of its encoding, and one item of each kind.
MODULE = "81 45e25238df912c03"
ITEMS = "0107 0207 0309090909 040909090909090909 0503616263 00"


def test_what_modules_left_is_passed_over_and_named() -> None:
    told = read(file(f"f7 {MODULE} 0201 {ITEMS} fc 0100000000000000 f8 01 07 036d6f64 {MODULE} {ITEMS} {KEY}"))
    assert told.entries == [(0, b"k", b"v", None)]
    assert told.modules == [("ReJSON-RL", None), ("ReJSON-RL", b"mod")]


def test_what_a_node_of_a_cluster_of_redis_7_4_says_of_its_slots_is_passed_over() -> None:
    """A file that such a one wrote, less the remarks at its head."""
    volatile, others = "f46f960101 fcec4e0472b9010000 0003666f6fc001", "f47f9f020000 04617b787dc001 0004627b787dc002"
    assert read(file(f"fe00 fb0301 {volatile} {others}", b"0012")).entries == [
        (0, b"foo", b"1", 1_895_993_462_508),
        (0, b"a{x}", b"1", None),
        (0, b"b{x}", b"2", None),
    ]


def test_bytes_behind_the_end_are_ignored() -> None:
    assert len(read(file(KEY) + b"more").entries) == 1


def test_old_versions_have_no_checksum() -> None:
    assert len(read(b"REDIS0004" + bytes.fromhex(KEY) + b"\xff").entries) == 1


def test_a_checksum_of_zero_was_not_computed() -> None:
    assert len(read(file(KEY, checksum=0)).entries) == 1
    check_whole(file(KEY, checksum=0))


EOF_LINES = ["Short read or OOM loading DB. Unrecoverable error, aborting now.", "Unexpected EOF reading RDB file"]
REFUSED = [
    pytest.param(b"", EOF_LINES, id="empty"),
    pytest.param(b"REDIS", EOF_LINES, id="cut header"),
    pytest.param(
        b"RADIS0010" + b"\xff" * 9,
        ["Wrong signature trying to load DB from file", "Fatal error loading"],
        id="not an RDB",
    ),
    pytest.param(file(KEY, b"0099"), ["Can't handle RDB format version 99", "Fatal error loading"], id="newer version"),
    pytest.param(file(KEY, b"0000"), ["Can't handle RDB format version 0", "Fatal error loading"], id="version 0"),
    pytest.param(
        file(KEY, b"abcd"), ["Can't handle RDB format version 0", "Fatal error loading"], id="version in words"
    ),
    pytest.param(file(KEY, checksum=5), ["Wrong RDB checksum expected: (", "RDB CRC error"], id="wrong checksum"),
    pytest.param(file(KEY)[:-3], EOF_LINES, id="cut checksum"),
    pytest.param(file(KEY)[:-10], EOF_LINES, id="cut value"),
    pytest.param(b"REDIS0010", EOF_LINES, id="no end"),
    pytest.param(file("32 016b 0176"), ["Unknown RDB encoding type 50"], id="unknown type"),
    pytest.param(file("00 016b c5"), ["Unknown RDB string encoding type 5"], id="unknown string encoding"),
    pytest.param(file("00 016b c3 02 1e ffff"), ["Invalid LZF compressed string"], id="broken LZF"),
    pytest.param(file("00 016b 81" + "7f" * 8), EOF_LINES, id="a length that is a lie"),
    pytest.param(
        file("06 016b 81 45e25238df912c03 00"),
        ["The RDB file contains module data I can't load: no matching module type 'ReJSON-RL'"],
        id="an old module's value",
    ),
    pytest.param(file("f7 81 45e25238df912c03 01 01 00"), ["bad when_opcode"], id="a module's remark at no time"),
    pytest.param(file("07 016b 8100000000000000ff 09"), ["Unknown module opcode 9"], id="a module's damaged value"),
    pytest.param(file("f6 00"), ["Pre-release function format not supported."], id="old functions"),
]


@pytest.mark.parametrize(("data", "said"), REFUSED)
def test_refused_with_the_words_of_redis(data: bytes, said: list[str]) -> None:
    with pytest.raises(RdbError) as refused:
        read(data)
    lines = refused.value.lines
    assert len(lines) == len(said)
    for line, words in zip(lines, said, strict=True):
        assert words in line


def test_the_words_about_a_wrong_checksum_name_both() -> None:
    with pytest.raises(RdbError) as refused:
        check_whole(file("fe00fb0100" + KEY, checksum=5))
    assert refused.value.lines[0] == ("Wrong RDB checksum expected: (3a16cadba84c6bf) but got (5). Aborting now.")


@given(st.data())
@settings(max_examples=300)
def test_a_damaged_file_is_refused_and_nothing_else(data: st.DataObject) -> None:
    """One byte changed anywhere, or an end cut off: refused, or (in the checksum of a file without one) read."""
    whole = bytearray(file("fa 0161 c00a fe 00 fb 02 01 fc 0100000000000000 00 0161 c3 04 0a 0061e00000 " + KEY))
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole[place] ^= data.draw(st.integers(1, 255))
    else:
        del whole[place:]
    with pytest.raises(RdbError):
        read(bytes(whole))


ENTRIES = st.dictionaries(
    st.tuples(st.integers(0, 15), st.binary(max_size=40)),
    st.tuples(
        st.one_of(
            st.binary(max_size=200), st.integers().map(lambda n: b"%d" % n), st.binary(max_size=9).map(lambda b: b * 50)
        ),
        st.one_of(st.none(), st.integers(0, 2**62)),
    ),
    max_size=30,
)


def written(entries: dict[tuple[int, bytes], tuple[bytes, int | None]], compress: bool) -> bytes:
    pieces: list[bytes] = []
    writer = RdbWriter(pieces.append, compress=compress, checksum=True)
    writer.aux(b"redis-ver", b"7.0.15")
    for index in range(16):
        chosen = {key: value for (database, key), value in entries.items() if database == index}
        if chosen:
            writer.database(index, len(chosen), sum(expire is not None for _, expire in chosen.values()))
            for key, (value, expire) in chosen.items():
                writer.entry(key, value, expire)
    writer.end()
    return b"".join(pieces)


@given(ENTRIES, st.booleans(), st.integers(1, 5))
def test_what_is_written_is_read(
    entries: dict[tuple[int, bytes], tuple[bytes, int | None]], compress: bool, records: int
) -> None:
    """… also when the reading is interrupted every few records."""
    data = written(entries, compress)
    check_whole(data)
    told = Told()
    reader = RdbReader(data, told)
    while not reader.read_some(records):
        pass
    assert reader.position == len(data)
    assert {(index, key): (value, expire) for index, key, value, expire in told.entries} == entries


@given(ENTRIES, st.booleans(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_what_comes_in_pieces_is_read_as_it_comes(
    entries: dict[tuple[int, bytes], tuple[bytes, int | None]], compress: bool, records: int, chance: Random
) -> None:
    data = written(entries, compress)
    cut = data[: chance.randrange(9, len(data))]
    for whole in (data, cut):
        pieces = [whole[:9]]
        while (start := sum(map(len, pieces))) < len(whole):
            pieces.append(whole[start : start + chance.choice([1, 2, 7, 60])])
        rest = iter([*pieces[1:], b""])
        told = Told()
        reader = RdbReader(pieces[0], told, growing=True)
        try:
            while not reader.read_some(records):
                if reader.starved:
                    reader.grow(next(rest))
        except RdbTruncatedError:
            assert whole is cut
        else:
            assert whole is data
            assert reader.position == len(data)
            assert {(index, key): (value, expire) for index, key, value, expire in told.entries} == entries


def test_what_comes_in_pieces_is_summed_up() -> None:
    data = file(KEY, checksum=5)
    reader = RdbReader(data[:12], Told(), growing=True)
    assert not reader.read_some(9)
    reader.grow(data[12:])
    with pytest.raises(RdbError, match="CRC"):
        reader.read_some(9)


def test_a_string_under_change_is_written_as_a_string() -> None:
    pieces: list[bytes] = []
    writer = RdbWriter(pieces.append, compress=True, checksum=False)
    writer.entry(b"k", bytearray(b"abc"), None)
    writer.end()
    assert b"".join(pieces) == b"REDIS0010" + bytes.fromhex("00 016b 03616263 ff") + b"\0" * 8


def test_redis_check_rdb_finds_nothing_wrong(tmp_path: Path) -> None:
    entries: dict[tuple[int, bytes], tuple[bytes, int | None]] = {
        (index % 3, b"key:%d" % index): (b"value %d " % index * (index % 7), 1 << 41 if index % 2 else None)
        for index in range(5000)
    }
    path = tmp_path / "ours.rdb"
    path.write_bytes(written(entries, compress=True))
    checked = run(["redis-check-rdb", str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert "RDB looks OK!" in checked.stdout
    assert "5000 keys read" in checked.stdout
    assert "2500 expires" in checked.stdout


def test_keys_without_elements_are_named_in_the_log(start_server: Callable[..., OwnServer], tmp_path: Path) -> None:
    records = " ".join(f"02 02{0x6530 + number:04x} 00" for number in range(12))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "dump.rdb").write_bytes(file(f"{records} {KEY}"))
    log = start_server().wait_ready().log
    assert log.count("rdbLoadObject skipping empty key: e") == 10
    assert "Done loading RDB, keys loaded: 1, keys expired: 0, empty keys skipped: 12." in log


@pytest.mark.parametrize("empty", ["01 0165 00", "02 0165 00", "03 0165 00", "04 0165 00", "05 0165 00", "12 0165 00"])
def test_a_key_without_elements_is_left_out_and_its_time_with_it(empty: str) -> None:
    told = read(file(f"fc 0100000000000000 {empty} {KEY}"))
    assert told.empty_keys == [b"e"]
    assert told.entries == [(0, b"k", b"v", None)]
