"""The list of chunks against a plain Python list, at lengths where there are none, one and many chunks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.structures.lists import CHUNK_MAX, Quicklist
from tests.node.differential import budget

# Few different elements, so that equal ones are everywhere.
VALUES = [b"%d" % (number * number % 7) for number in range(9 * CHUNK_MAX)]
LENGTH = st.sampled_from(
    [0, 1, 5, CHUNK_MAX - 1, CHUNK_MAX, CHUNK_MAX + 1, 3 * CHUNK_MAX, 7 * CHUNK_MAX, 9 * CHUNK_MAX]
)
# A place in a list, as a fraction of its length: the ends and the joints of chunks are met often enough.
PLACE = st.one_of(st.sampled_from([0.0, 0.2, 1 / 3, 0.5, 2 / 3, 1.0]), st.floats(0, 1))
VALUE = st.sampled_from([*VALUES[:5], b"new"])


def _push(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:
    for _ in range(int(place * 700)):
        if place < 0.5:
            value.push_left(item)
            plain.insert(0, item)
        else:
            value.push_right(item)
            plain.append(item)


def _extend(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:
    items = [item, *VALUES[: int(place * 1200)]]
    if len(plain) % 2:
        plain[:0] = reversed(items)
        assert value.extend_left(items) == len(plain)
    else:
        plain += items
        assert value.extend_right(items) == len(plain)


def _pop(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:  # noqa: ARG001 - as the others
    for _ in range(min(int(place * 1500), len(plain))):
        if place < 0.5:
            assert value.pop_left() == plain.pop(0)
        else:
            assert value.pop_right() == plain.pop()


def _drop_left(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:  # noqa: ARG001
    count = int(len(plain) * place)
    value.drop_left(count)
    del plain[:count]


def _drop_right(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:  # noqa: ARG001
    length = len(plain) - int(len(plain) * place)
    value.drop_right(len(plain) - length)
    del plain[length:]


def _insert(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:
    index = int(len(plain) * place)
    value.insert(index, item)
    plain.insert(index, item)


def _insert_many(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:
    for _ in range(CHUNK_MAX // 2):
        _insert(value, plain, item, place)


def _set(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:
    if plain:
        index = min(int(len(plain) * place), len(plain) - 1)
        value.set(index, item)
        plain[index] = item


def _remove(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:
    count = int((place - 0.5) * 300)
    indexes = [index for index, other in enumerate(plain) if other == item]
    chosen = indexes[count:] if count < 0 else indexes[: count or len(indexes)]
    assert value.remove(item, count) == len(chosen)
    for index in reversed(chosen):
        del plain[index]


def _find(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:
    assert value.index(item) == (plain.index(item) if item in plain else -1)
    rank = int((place - 0.5) * 20) or 1
    for count, compared_max in ((1, len(plain)), (len(plain), len(plain)), (5, len(plain) // 2), (500, 600)):
        order = list(range(len(plain)))[:: 1 if rank > 0 else -1][:compared_max]
        matches = [index for index in order if plain[index] == item][abs(rank) - 1 :][:count]
        assert value.positions(item, rank, count, compared_max) == matches


def _read(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:  # noqa: ARG001
    index = int(len(plain) * place)
    assert value.slice(index, len(plain)) == plain[index:]
    assert value.slice(0, index) == plain[:index]
    assert value.slice(index // 2, index) == plain[index // 2 : index]
    if plain:
        assert value.at(min(index, len(plain) - 1)) == plain[min(index, len(plain) - 1)]


def _copy(value: Quicklist, plain: list[bytes], item: bytes, place: float) -> None:
    copied = value.copy()
    _push(copied, list(plain), item, place)
    _insert(copied, list(plain), item, place)
    copied.remove(item, 0)


Step = Callable[[Quicklist, list[bytes], bytes, float], None]
STEPS: list[Step] = [
    _push,
    _extend,
    _pop,
    _drop_left,
    _drop_right,
    _insert,
    _insert_many,
    _set,
    _remove,
    _find,
    _read,
    _copy,
]


@given(length=LENGTH, steps=st.lists(st.tuples(st.sampled_from(STEPS), VALUE, PLACE), max_size=12))
@budget(60)
def test_it_is_what_a_plain_list_is(length: int, steps: list[tuple[Step, bytes, float]]) -> None:
    plain = VALUES[:length]
    value = Quicklist(plain.copy())
    for step, item, place in steps:
        step(value, plain, item, place)
        value._check()
        assert len(value) == len(plain)
    assert list(value) == plain


@pytest.mark.parametrize("length", [0, 10, 1500])
def test_its_estimate_of_memory_is_near_the_sum_of_its_parts(length: int) -> None:
    value = Quicklist([b"element-%06d" % number for number in range(length)])
    # Each element is an object of 47 bytes, and has a place in a chunk.
    assert length * 55 <= value.memory_bytes(5) <= length * 58 + 200
    assert value.memory_bytes(0) == value.memory_bytes(5)


def test_most_of_a_long_list_is_packed_however_it_grew() -> None:
    items = [b"element-%06d" % number for number in range(100_000)]
    from_left, from_right, at_once = Quicklist([]), Quicklist([]), Quicklist(items.copy())
    for item in items:
        from_left.push_left(item)
        from_right.push_right(item)
    for value in (from_left, from_right, at_once):
        value._check()
        # An element is 14 bytes long; what of the ends is not packed is the rest.
        assert value.memory_bytes(5) < 18 * len(items)
    assert list(from_right) == list(at_once) == list(from_left)[::-1] == items


def test_long_elements_are_not_packed() -> None:
    value = Quicklist([b"x" * 1000] * 5000)
    assert value.memory_bytes(0) > 5000 * 1040
    assert list(value) == [b"x" * 1000] * 5000
