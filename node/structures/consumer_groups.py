"""Groups of consumers of a stream: how far each has read, and which entries are with whom and not acknowledged yet.

What is pending is found in two ways: by id, and in the order of ids, of a whole group as well as of one consumer. For
the order there are `OrderedIds`; nearly all of their ids are added at the end. Who claims what others have had for too
long finds it in a third way: by when it was last delivered.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from sys import getsizeof

# Ids in a chunk, at most: what is moved to make room for one in the midst.
_CHUNK_MAX = 1024
# Places of a heap that mean nothing any more are kept until there are this many more than entries.
_STALE_MAX = 64
# A group's number of entries read when nobody can tell.
UNKNOWN = -1


class OrderedIds:
    """A set of ids that is walked in ascending order, from any id on."""

    __slots__ = ("_chunks", "_tops", "count")

    def __init__(self) -> None:
        # The ids, in sorted lists none of which is empty, and the last id of each.
        self._chunks: list[list[int]] = []
        self._tops: list[int] = []
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def add(self, entry_id: int) -> None:
        """Put in an id that is not there yet."""
        chunks, tops = self._chunks, self._tops
        self.count += 1
        if not tops or entry_id > tops[-1]:
            if not tops or len(chunks[-1]) >= _CHUNK_MAX:
                chunks.append([entry_id])
                tops.append(entry_id)
            else:
                chunks[-1].append(entry_id)
                tops[-1] = entry_id
            return
        at = bisect_left(tops, entry_id)
        chunk = chunks[at]
        insort(chunk, entry_id)
        if len(chunk) > _CHUNK_MAX:
            half = len(chunk) // 2
            chunks.insert(at, chunk[:half])
            tops.insert(at, chunk[half - 1])
            del chunk[:half]

    def remove(self, entry_id: int) -> None:
        """Take out an id that is there."""
        tops = self._tops
        at = bisect_left(tops, entry_id)
        chunk = self._chunks[at]
        self.count -= 1
        if len(chunk) == 1:
            del self._chunks[at], tops[at]
            return
        del chunk[bisect_left(chunk, entry_id)]
        tops[at] = chunk[-1]

    def first(self) -> int:
        return self._chunks[0][0]

    def last(self) -> int:
        return self._tops[-1]

    def since(self, entry_id: int) -> Iterator[int]:
        """The ids from this one on. The set must not change meanwhile."""
        at = bisect_left(self._tops, entry_id)
        if at < len(self._tops):
            chunk = self._chunks[at]
            start = bisect_left(chunk, entry_id)
            yield from chunk[start:] if start else chunk
            for chunk in self._chunks[at + 1 :]:
                yield from chunk

    def _check(self) -> None:
        """Raise AssertionError unless it is in order."""
        ids = [entry_id for chunk in self._chunks for entry_id in chunk]
        assert ids == sorted(set(ids))
        assert self.count == len(ids)
        assert self._tops == [chunk[-1] for chunk in self._chunks]


class Consumer:
    """One consumer of a group, by its name."""

    __slots__ = ("active_ms", "name", "pending", "seen_ms")

    def __init__(self, name: bytes, now_ms: int) -> None:
        self.name = name
        # When it last asked for something, and when it last got something (-1: never).
        self.seen_ms = now_ms
        self.active_ms = -1
        # What it has got and not acknowledged.
        self.pending = OrderedIds()


class Delivery:
    """An entry that a consumer has got and not acknowledged."""

    __slots__ = ("consumer", "count", "time_ms")

    def __init__(self, consumer: Consumer, time_ms: int, count: int) -> None:
        self.consumer = consumer
        # When it was last delivered, and how often.
        self.time_ms = time_ms
        self.count = count


class Group:
    """A group of consumers."""

    __slots__ = ("_by_time", "consumers", "deliveries", "entries_read", "last_id", "pending")

    def __init__(self, last_id: int, entries_read: int) -> None:
        # Up to where the stream has been given out, and how many entries that were since the stream began, or UNKNOWN.
        self.last_id = last_id
        self.entries_read = entries_read
        self.consumers: dict[bytes, Consumer] = {}
        # What is with whom, by id and in order of ids.
        self.deliveries: dict[int, Delivery] = {}
        self.pending = OrderedIds()
        # A heap of what is pending by the time of its last delivery, from when somebody asks for that first. What has
        # been delivered again or acknowledged since is passed over when it comes up.
        self._by_time: list[tuple[int, int]] | None = None

    def consumers_by_name(self) -> list[Consumer]:
        """In the order in which Redis lists them."""
        return [self.consumers[name] for name in sorted(self.consumers)]

    def deliver(self, entry_id: int, consumer: Consumer, time_ms: int, count: int) -> Delivery:
        """The entry is with `consumer` now, wherever it was."""
        by_time = self._by_time
        if by_time is not None:
            heappush(by_time, (time_ms, entry_id))
            if len(by_time) > 2 * len(self.deliveries) + _STALE_MAX:
                self._by_time = None
        delivery = self.deliveries.get(entry_id)
        if delivery is None:
            delivery = self.deliveries[entry_id] = Delivery(consumer, time_ms, count)
            self.pending.add(entry_id)
            consumer.pending.add(entry_id)
            return delivery
        if delivery.consumer is not consumer:
            delivery.consumer.pending.remove(entry_id)
            consumer.pending.add(entry_id)
            delivery.consumer = consumer
        delivery.time_ms = time_ms
        delivery.count = count
        return delivery

    def acknowledge(self, entry_id: int) -> bool:
        """The entry is not pending any more; False when it was not."""
        delivery = self.deliveries.pop(entry_id, None)
        if delivery is None:
            return False
        self.pending.remove(entry_id)
        delivery.consumer.pending.remove(entry_id)
        return True

    def longest_pending(self, count: int, latest_ms: int, exists: Callable[[int], bool]) -> list[int]:
        """Up to `count` entries that exist and were last delivered no later than that, those of long ago first."""
        heap = self._by_time
        if heap is None:
            heap = self._by_time = [(delivery.time_ms, entry_id) for entry_id, delivery in self.deliveries.items()]
            heapify(heap)
        found: list[int] = []
        seen: dict[tuple[int, int], None] = {}
        while heap and heap[0][0] <= latest_ms and len(found) < count:
            place = heappop(heap)
            time_ms, entry_id = place
            delivery = self.deliveries.get(entry_id)
            if delivery is None or delivery.time_ms != time_ms or place in seen:
                continue
            seen[place] = None
            if exists(entry_id):
                found.append(entry_id)
        for place in seen:
            heappush(heap, place)
        return found

    def remove_consumer(self, consumer: Consumer) -> None:
        """Take a consumer out; what was pending with it is not any more."""
        for entry_id in list(consumer.pending.since(0)):
            self.acknowledge(entry_id)
        del self.consumers[consumer.name]

    def copy(self) -> Group:
        other = Group(self.last_id, self.entries_read)
        for consumer in self.consumers.values():
            made = other.consumers[consumer.name] = Consumer(consumer.name, consumer.seen_ms)
            made.active_ms = consumer.active_ms
        for entry_id in self.pending.since(0):
            delivery = self.deliveries[entry_id]
            other.deliver(entry_id, other.consumers[delivery.consumer.name], delivery.time_ms, delivery.count)
        return other

    def memory_bytes(self) -> int:
        # An id is an integer object, and has its place in two lists; a delivery is an object.
        each = getsizeof(1 << 100) + 16 + 56
        consumers = sum(getsizeof(consumer) + getsizeof(consumer.name) for consumer in self.consumers.values())
        places = getsizeof(self.deliveries) + getsizeof(self.consumers)
        return getsizeof(self) + places + consumers + each * len(self.deliveries)

    def _check(self) -> None:
        """Raise AssertionError unless everything fits together."""
        self.pending._check()
        assert list(self.pending.since(0)) == sorted(self.deliveries)
        for name, consumer in self.consumers.items():
            assert consumer.name == name
            consumer.pending._check()
            own = [entry_id for entry_id, delivery in self.deliveries.items() if delivery.consumer is consumer]
            assert list(consumer.pending.since(0)) == sorted(own)
        assert all(self.consumers[each.consumer.name] is each.consumer for each in self.deliveries.values())
