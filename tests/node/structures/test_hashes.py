"""Hashes beside dicts: packed, plain and large, they hold the same whatever is done to them."""

from __future__ import annotations

import random

import pytest

from node.structures.hashes import Hash
from node.structures.limits import CompactLimits
from node.structures.records import Record, Shapes

_LIMITS = CompactLimits()
_NAMES = [b"name", b"mail", b"age", b"", b"city", b"x" * 64]


def _packed(shapes: Shapes, *names: bytes) -> Hash:
    """A hash with these fields, met so often that it is packed."""
    for _ in range(8):
        hash_ = Hash()
        for name in names:
            hash_.set(name, b"value of " + name[:9], _LIMITS)
        hash_.pack(shapes)
    assert isinstance(hash_.fields, Record)
    return hash_


@pytest.mark.parametrize("seed", range(5))
def test_is_a_dict(seed: int) -> None:
    chance = random.Random(seed)
    shapes = Shapes()
    packed = 0
    for _ in range(300):
        hash_ = Hash()
        plain: dict[bytes, bytes] = {}
        for step in range(chance.randrange(1, 12)):
            name = _NAMES[step % 6] if chance.random() < 0.9 else chance.choice(_NAMES)
            value = b"v" * chance.choice([0, 1, 7, 64, 64, 65, 300])
            if chance.random() < 0.9:
                assert hash_.set(name, value, _LIMITS) == (name not in plain)
                plain[name] = value
            else:
                assert hash_.remove([name]) == (plain.pop(name, None) is not None)
            if step == 1 and plain:
                hash_.pack(shapes)
            packed += isinstance(hash_.fields, Record)
            fields = hash_.fields
            assert list(fields.items()) == list(plain.items())
            assert list(fields) == list(plain)
            assert list(fields.values()) == list(plain.values())
            assert len(fields) == len(hash_) == len(plain)
            assert [fields.get(each) for each in _NAMES] == [plain.get(each) for each in _NAMES]
            assert [each in fields for each in _NAMES] == [each in plain for each in _NAMES]
            assert hash_.mapping() == plain
            hash_._check()
    assert packed > 150


def test_what_grows_stays_packed_and_what_changes_does_not() -> None:
    shapes = Shapes()
    _packed(shapes, b"a", b"b")
    hash_ = _packed(shapes, b"a")
    other = hash_.copy()
    assert hash_.set(b"b", b"2", _LIMITS) == 1
    assert isinstance(hash_.fields, Record)
    assert hash_.fields[b"b"] == b"2"
    with pytest.raises(KeyError):
        hash_.fields[b"c"]
    assert hash_.set(b"a", b"3", _LIMITS) == 0
    assert hash_.fields == {b"a": b"3", b"b": b"2"}
    assert list(other.fields.items()) == [(b"a", b"value of a")]


def test_fields_of_a_packed_hash_expire() -> None:
    hash_ = _packed(Shapes(), b"a", b"b")
    hash_.expire_at(b"a", 5)
    assert isinstance(hash_.fields, Record)
    hash_.update(b"a", b"1", _LIMITS)
    other = hash_.copy()
    assert other.remove([b"a"]) == 1
    assert other.expire_time(b"a") is None
    assert hash_.expire_time(b"a") == 5
    assert hash_.remove([b"a"]) == 1
    hash_._check()
    assert list(hash_.fields) == [b"b"]


def test_limits_of_a_listpack_are_those_of_a_record() -> None:
    for field, value, limits in (
        (b"c", b"x" * 65, _LIMITS),
        (b"c" * 65, b"", _LIMITS),
        (b"c", b"", CompactLimits(hash_entries=2)),
    ):
        shapes = Shapes()
        for _ in range(8):
            shapes.find((b"a", b"b", field))
        hash_ = _packed(shapes, b"a", b"b")
        hash_.set(field, value, limits)
        assert not hash_.compact
        hash_._check()
        assert hash_.fields[field] == value


def test_names_that_never_come_again_leave_nothing_behind() -> None:
    shapes = Shapes()
    for number in range(20_000):
        assert shapes.find((b"%d" % number,)) is None
    assert len(shapes._candidates) <= 1024
    _packed(shapes, b"a")
    for number in range(5000):
        for _ in range(4):
            shapes.find((b"%d" % number,))
    assert len(shapes._shapes) == 1024
