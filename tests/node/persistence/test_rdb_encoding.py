"""Lengths, strings, LZF and the checksum: the vectors of the format, and round trips."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

import pytest
from crcmod.crcmod import _usingExtension
from hypothesis import example, given
from hypothesis import strategies as st

from node.persistence import lzf
from node.persistence.crc64 import crc64
from node.persistence.rdb_encoding import Cursor, encode_length, encode_string
from node.persistence.rdb_errors import RdbError, RdbTruncatedError


def test_crc64_is_the_one_of_rdb_files_and_runs_in_c() -> None:
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert crc64(b"6789", crc64(b"12345")) == crc64(b"123456789")
    assert _usingExtension, "the pure Python checksum would take longer than the save"


LENGTHS = [
    (0, "00"),
    (63, "3f"),
    (64, "4040"),
    (16383, "7fff"),
    (16384, "8000004000"),
    (2**32 - 1, "80ffffffff"),
    (2**32, "810000000100000000"),
]


@pytest.mark.parametrize(("value", "encoded"), LENGTHS)
def test_lengths(value: int, encoded: str) -> None:
    assert encode_length(value).hex() == encoded
    assert Cursor(bytes.fromhex(encoded)).length() == value


def test_a_length_need_not_be_minimal() -> None:
    assert Cursor(bytes.fromhex("8000000005")).length() == 5


STRINGS = [
    (b"", "00"),
    (b"v", "0176"),
    (b"10", "c00a"),
    (b"-1", "c0ff"),
    (b"-128", "c080"),
    (b"128", "c18000"),
    (b"-32769", "c2ff7fffff"),
    (b"2147483647", "c2ffffff7f"),
    (b"2147483648", "0a" + b"2147483648".hex()),
    (b"00123", "05" + b"00123".hex()),
    (b"-0", "02" + b"-0".hex()),
    (b"+1", "02" + b"+1".hex()),
    (b" 1", "02" + b" 1".hex()),
    (b"1\n", "02" + b"1\n".hex()),
    (b"99999999999", "0b" + b"99999999999".hex()),
]


@pytest.mark.parametrize(("value", "encoded"), STRINGS)
def test_strings(value: bytes, encoded: str) -> None:
    assert encode_string(value, compress=True).hex() == encoded
    assert Cursor(bytes.fromhex(encoded)).string() == value


def test_a_long_run_is_compressed_only_on_request() -> None:
    value = b"a" * 1000
    assert encode_string(value, compress=False) == encode_length(1000) + value
    compressed = encode_string(value, compress=True)
    assert compressed[0] == 0xC3
    assert len(compressed) < 30
    assert Cursor(compressed).string() == value


def test_a_compressed_string_that_redis_wrote() -> None:
    # DUMP of 100 times "x" on redis-server 7.0.15, without type byte and footer.
    assert Cursor(bytes.fromhex("c3094064 017878 e05700 017878")).string() == b"x" * 100


# Both are there where tests run: ours, and LibLZF's in C.
LZF_WAYS = pytest.mark.parametrize("library", [None, lzf.liblzf], ids=["plain", "in C"])


@contextmanager
def lzf_by(library: ModuleType | None) -> Iterator[None]:
    found = lzf.liblzf
    lzf.liblzf = library
    try:
        yield
    finally:
        lzf.liblzf = found


def test_lzf_in_c_is_there() -> None:
    assert lzf.liblzf is not None


@LZF_WAYS
@given(st.binary(max_size=300), st.integers(1, 40))
@example(b"abc" * 100, 1)
@example(b"a", 1)
def test_lzf_gives_back_what_it_took(library: ModuleType | None, piece: bytes, times: int) -> None:
    data = piece * times
    with lzf_by(library):
        compressed = lzf.compress(data)
    if compressed is not None:
        assert len(compressed) <= len(data) - 4
        for reader in (None, lzf.liblzf):
            with lzf_by(reader):
                assert lzf.decompress(compressed, len(data)) == data


@LZF_WAYS
@given(st.binary(max_size=60), st.integers(0, 4000))
def test_lzf_takes_anything(library: ModuleType | None, data: bytes, size: int) -> None:
    """It gives as much as was announced, or refuses."""
    with lzf_by(library), suppress(lzf.LzfError):
        assert len(lzf.decompress(data, size)) == size


def test_lzf_refers_back_no_further_than_it_can_say() -> None:
    chance = random.Random(7)
    block = chance.randbytes(5000)
    data = block + chance.randbytes(4000) + block + b"z" * 40000 + block
    with lzf_by(None):
        compressed = lzf.compress(data)
        assert compressed is not None
        assert lzf.decompress(compressed, len(data)) == data


@LZF_WAYS
def test_lzf_does_not_swell_what_cannot_be_compressed(library: ModuleType | None) -> None:
    with lzf_by(library):
        assert lzf.compress(random.Random(1).randbytes(100_000)) is None
        assert lzf.compress(b"abc") is None


BROKEN_LZF = [
    pytest.param("05 61", 6, id="literals beyond the end"),
    pytest.param("2000", 3, id="reference before the beginning"),
    pytest.param("0061 e0", 10, id="cut inside a reference"),
    pytest.param("0061 2000", 2, id="longer than announced"),
    pytest.param("0061", 2, id="shorter than announced"),
]


@LZF_WAYS
@pytest.mark.parametrize(("data", "size"), BROKEN_LZF)
def test_broken_lzf_is_refused(library: ModuleType | None, data: str, size: int) -> None:
    with lzf_by(library), pytest.raises(lzf.LzfError):
        lzf.decompress(bytes.fromhex(data), size)


BROKEN_STRINGS = [
    pytest.param("40", id="cut length"),
    pytest.param("800000", id="cut 32-bit length"),
    pytest.param("0561", id="more than there is"),
    pytest.param("81 7fffffffffffffff", id="much more than there is"),
    pytest.param("82", id="unknown first byte"),
    pytest.param("c5", id="unknown special encoding"),
    pytest.param("c201", id="cut integer"),
    pytest.param("c3 01 810000000100000000 00", id="LZF that announces more than it can hold"),
    pytest.param("c3 c001", id="LZF with a special encoding for a length"),
]


@pytest.mark.parametrize("data", BROKEN_STRINGS)
def test_broken_strings_are_refused(data: str) -> None:
    with pytest.raises(RdbError):
        Cursor(bytes.fromhex(data)).string()


def test_a_count_is_believed_only_if_so_many_items_can_follow() -> None:
    with pytest.raises(RdbTruncatedError):
        Cursor(bytes.fromhex("80ffffffff0000")).count()
