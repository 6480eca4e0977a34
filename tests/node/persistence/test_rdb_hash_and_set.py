"""Every form in which an RDB file may have a hash or a set, and what is refused."""

from __future__ import annotations

import pytest

from node.persistence import intset, listpack
from node.persistence.rdb_encoding import Cursor, encode_length, encode_string
from node.persistence.rdb_errors import RdbError
from node.persistence.rdb_types import DECODERS, ENCODERS
from node.structures.hashes import Hash
from node.structures.limits import CompactLimits
from node.structures.sets import Set, set_of

_PAIRS = [b"f", b"v", b"n", b"5"]
# The same pairs as older servers kept them; the ziplist and zipmap were taken from the format's description.
_ZIPLIST = bytes.fromhex("16000000 13000000 0400 00 0166 03 0176 03 016e 03 f6 ff".replace(" ", ""))
_ZIPMAP = bytes.fromhex("02 0166 01 00 76 016e 01 00 35 ff".replace(" ", ""))


def _strings(items: list[bytes]) -> bytes:
    return b"".join(encode_string(item, False) for item in items)


def _hash_body(pairs: list[bytes]) -> bytes:
    return encode_length(len(pairs) // 2) + _strings(pairs)


def _set_body(members: list[bytes]) -> bytes:
    return encode_length(len(members)) + _strings(members)


_HASHES = {
    4: _hash_body(_PAIRS),
    9: encode_string(_ZIPMAP, False),
    13: encode_string(_ZIPLIST, False),
    16: encode_string(listpack.encode(_PAIRS), False),
}
_SETS = {
    2: _set_body([b"7", b"-3"]),
    11: encode_string(intset.encode([-3, 7]), False),
    20: encode_string(listpack.encode([b"7", b"-3"]), False),
}


@pytest.mark.parametrize("kind", _HASHES)
def test_a_hash_in_every_form(kind: int) -> None:
    value = DECODERS[kind](Cursor(_HASHES[kind]))
    assert isinstance(value, Hash)
    assert list(value.fields.items()) == [(b"f", b"v"), (b"n", b"5")]
    assert value.compact
    limits = CompactLimits(hash_entries=1)
    assert DECODERS[kind](Cursor(_HASHES[kind], limits=limits)).compact is False  # type: ignore[attr-defined]
    limits = CompactLimits(hash_value=0)
    assert DECODERS[kind](Cursor(_HASHES[kind], limits=limits)).compact is (kind == 16)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", _SETS)
def test_a_set_in_every_form(kind: int) -> None:
    value = DECODERS[kind](Cursor(_SETS[kind]))
    assert isinstance(value, Set)
    assert value.listed() == [b"-3", b"7"]
    assert value.compact
    limits = CompactLimits(intset_entries=1)
    assert DECODERS[kind](Cursor(_SETS[kind], limits=limits)).compact is False  # type: ignore[attr-defined]


def test_a_listpack_of_other_members_is_a_set_like_any() -> None:
    value = DECODERS[20](Cursor(encode_string(listpack.encode([b"a", b"1"]), False)))
    assert isinstance(value, Set)
    assert value.encoding == b"hashtable"
    assert list(value.members) == [b"a", b"1"]


@pytest.mark.parametrize("size", [1, 512, 513, 3000])
@pytest.mark.parametrize("long", [False, True])
def test_a_hash_there_and_back(size: int, long: bool) -> None:
    value = Hash()
    for number in range(size):
        value.set(b"%d" % number, b"x" * 65 if long else b"", CompactLimits())
    value._check()
    kind, body = ENCODERS[Hash](value, True)
    assert kind == (16 if size <= 512 and not long else 4)
    back = DECODERS[kind](Cursor(body))
    assert isinstance(back, Hash)
    back._check()
    assert sorted(back.fields.items()) == sorted(value.fields.items())
    assert back.compact == value.compact


@pytest.mark.parametrize("size", [1, 512, 513, 3000])
@pytest.mark.parametrize("form", [b"%d", b"m%d", b"-9%d"])
def test_a_set_there_and_back(size: int, form: bytes) -> None:
    value = set_of([form % number for number in range(size)], 512)
    value._check()
    kind, body = ENCODERS[Set](value, True)
    assert kind == (11 if size <= 512 and form != b"m%d" else 2)
    back = DECODERS[kind](Cursor(body))
    assert isinstance(back, Set)
    back._check()
    assert sorted(back.members) == sorted(value.members)
    assert back.compact == value.compact


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (4, _hash_body([])),
        (4, _hash_body([b"f", b"1", b"f", b"2"])),
        (4, _HASHES[4][:-1]),
        (9, encode_string(_ZIPMAP[:-1], False)),
        (13, encode_string(_ZIPLIST[:-2] + b"\xff", False)),
        (16, encode_string(listpack.encode([]), False)),
        (16, encode_string(listpack.encode([b"f"]), False)),
        (16, encode_string(listpack.encode([b"f", b"1", b"f", b"2"]), False)),
        (2, _set_body([])),
        (2, _set_body([b"a", b"a"])),
        (11, encode_string(b"\x02\0\0\0\x02\0\0\0\x07\0\x03\0", False)),
        (20, encode_string(listpack.encode([b"a", b"a"]), False)),
    ],
)
def test_refused(kind: int, body: bytes) -> None:
    with pytest.raises(RdbError):
        DECODERS[kind](Cursor(body))
