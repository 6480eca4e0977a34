"""Names that are due at some moment, and which is due first: fields of a hash, keys whose hashes have such fields."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

# Entries of the heap that mean nothing any more are kept until there are this many more than names.
_STALE_MAX = 64


class Deadlines:
    """One moment a name, in Unix milliseconds. Setting and finding the first cost O(log n)."""

    __slots__ = ("_heap", "times")

    def __init__(self, times: dict[bytes, int] | None = None) -> None:
        self.times: dict[bytes, int] = {} if times is None else times
        # A moment that was changed or dropped since is still here, and is skipped when it comes up.
        self._heap = [(when_ms, name) for name, when_ms in self.times.items()]
        heapify(self._heap)

    def __len__(self) -> int:
        return len(self.times)

    def set(self, name: bytes, when_ms: int) -> None:
        """Let `name` be due then, and at no other time."""
        times, heap = self.times, self._heap
        times[name] = when_ms
        heappush(heap, (when_ms, name))
        if len(heap) > 2 * len(times) + _STALE_MAX:
            heap[:] = [(when, each) for each, when in times.items()]
            heapify(heap)

    def forget(self, name: bytes) -> bool:
        """Drop the moment of `name`; False when it has none."""
        return self.times.pop(name, None) is not None

    def first_ms(self) -> int | None:
        """When the first is due; None when there is none."""
        times, heap = self.times, self._heap
        while heap:
            when_ms, name = heap[0]
            if times.get(name) == when_ms:
                return when_ms
            heappop(heap)
        return None

    def take_due(self, now_ms: int, limit: int = 0) -> list[bytes]:
        """Take out those whose moment has passed, in order; no more than `limit` of them unless that is 0."""
        due: list[bytes] = []
        while not limit or len(due) < limit:
            first_ms = self.first_ms()
            if first_ms is None or first_ms >= now_ms:
                break
            _, name = heappop(self._heap)
            del self.times[name]
            due.append(name)
        return due

    def copy(self) -> Deadlines:
        return Deadlines(self.times.copy())
