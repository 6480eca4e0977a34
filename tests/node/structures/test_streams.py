"""Streams, sets of ids and radix trees beside dumb versions of themselves."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from hypothesis import given, settings
from hypothesis import strategies as st

from node.structures.consumer_groups import Consumer, Group, OrderedIds
from node.structures.radix import radix_tree_nodes
from node.structures.stream_ids import ID_MAX, format_id, make_id, raw_id
from node.structures.streams import Stream
from wire.encoder import encode

IDS = st.builds(make_id, st.sampled_from([0, 1, 2, 3, 1 << 63, (1 << 64) - 1]), st.integers(0, 3))
ITEMS = st.sampled_from([[b"f", b"v"], [b"f", b""], [b"g", b"-17", b"f", b"x" * 70], [b"f", b"a\r\n*1\r\n"]])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5), ITEMS),
        st.tuples(st.just("append"), st.integers(1, 5), ITEMS),
        st.tuples(st.just("append"), st.just(1 << 66), ITEMS),
        st.tuples(st.just("delete"), st.integers(0, 40), ITEMS),
        st.tuples(st.just("trim to"), st.integers(0, 12), ITEMS),
        st.tuples(st.just("trim before"), st.integers(0, 40), ITEMS),
        st.tuples(st.just("range"), st.integers(0, 40), ITEMS),
    ),
    max_size=60,
)


def _encoded(entries: list[tuple[int, list[bytes]]]) -> bytes:
    return b"".join(encode([format_id(entry_id), items], 2) for entry_id, items in entries)


@given(steps=STEPS, entries_max=st.sampled_from([1, 3, 100]), count=st.integers(-1, 5))
@settings(max_examples=80, deadline=None)
def test_a_stream_is_a_list_of_entries(steps: list[tuple[str, int, list[bytes]]], entries_max: int, count: int) -> None:
    stream = Stream()
    dumb: list[tuple[int, list[bytes]]] = []
    for what, number, items in steps:
        some_id = dumb[number % len(dumb)][0] if dumb else number
        at = bisect_left(dumb, some_id, key=lambda entry: entry[0])
        if what == "append":
            stream.append(stream.last_id + number, items, sum(map(len, items)), 200, entries_max)
            dumb.append((stream.last_id, items))
        elif what == "delete":
            assert stream.delete(some_id) == bool(dumb)
            del dumb[at : at + 1]
            assert not stream.delete(some_id)
            stream.find_first()
        elif what == "trim to":
            assert stream.trim_to(number, approximate=False) == max(len(dumb) - number, 0)
            dumb = dumb[-number:] if number else []
        elif what == "trim before":
            assert stream.trim_before(some_id, approximate=False) == at
            dumb = dumb[at:]
        else:
            end = some_id + number
            stop = bisect_right(dumb, end, key=lambda entry: entry[0])
            within = dumb[at:stop]
            some = within if count < 0 else within[:count]
            assert stream.range(some_id, end, count) == (len(some), _encoded(some))
            some = within[::-1] if count < 0 else within[::-1][:count]
            assert stream.range_back(some_id, end, count) == (len(some), _encoded(some))
            assert list(stream.ids(some_id, end)) == [entry_id for entry_id, _ in within]
            assert stream.entry(some_id) == (_encoded(within[:1]) or None)
        stream._check()
        assert len(stream) == len(dumb)
        assert stream.range(0, ID_MAX, -1) == (len(dumb), _encoded(dumb))
    other = stream.copy()
    other._check()
    other.append(other.last_id + 1, [b"f", b"v"], 2, 0, 0)
    assert stream.range(0, ID_MAX, -1) == (len(dumb), _encoded(dumb))


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 5000)), max_size=50), filled=st.sampled_from([0, 3000]))
@settings(max_examples=30, deadline=None)
def test_ordered_ids_are_a_sorted_set(steps: list[tuple[bool, int]], filled: int) -> None:
    ids, dumb = OrderedIds(), set(range(0, filled, 2))
    for number in sorted(dumb):
        ids.add(number)
    for put, number in steps:
        if put and number not in dumb:
            ids.add(number)
            dumb.add(number)
        elif not put and number in dumb:
            ids.remove(number)
            dumb.remove(number)
        assert list(ids.since(number)) == sorted(each for each in dumb if each >= number)
    ids._check()
    assert len(ids) == len(dumb)
    if dumb:
        assert (ids.first(), ids.last()) == (min(dumb), max(dumb))


@given(steps=st.lists(st.tuples(st.sampled_from("dddak"), st.integers(1, 9), st.sampled_from("ab")), max_size=40))
@settings(max_examples=30, deadline=None)
def test_what_is_pending_is_with_one_consumer(steps: list[tuple[str, int, str]]) -> None:
    group = Group(0, 0)
    for what, entry_id, name in steps:
        consumer = group.consumers.setdefault(name.encode(), Consumer(name.encode(), 0))
        if what == "d":
            assert group.deliver(entry_id, consumer, 1, 1).consumer is consumer
        elif what == "a":
            pending = entry_id in group.deliveries
            assert group.acknowledge(entry_id) == pending
        else:
            group.remove_consumer(consumer)
        group._check()
    group.copy()._check()


@given(ids=st.sets(st.one_of(IDS, st.integers(0, ID_MAX)), max_size=20))
@settings(max_examples=60, deadline=None)
def test_a_radix_tree_is_counted_without_being_built(ids: set[int]) -> None:
    assert radix_tree_nodes(sorted(ids)) == _nodes([raw_id(each) for each in ids])


def _nodes(keys: list[bytes]) -> int:
    """The nodes of the subtree of `keys`, which begin alike up to here."""
    if not keys or not keys[0]:
        return 1
    same = 0
    while same < len(keys[0]) and len({key[same] for key in keys}) == 1:
        same += 1
    if same:
        return 1 + _nodes([key[same:] for key in keys])
    first_bytes = {key[0] for key in keys}
    return 1 + sum(_nodes([key[1:] for key in keys if key[0] == first]) for first in first_bytes)
