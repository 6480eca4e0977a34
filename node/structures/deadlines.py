"""Names that are due at some moment, and which is due first: fields of a hash, keys whose hashes have such fields."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

# So few names are looked through; more have a heap. (A heap of three would take as much memory as a small hash.)
_FEW = 16
# Entries of the heap that mean nothing any more are kept until there are this many more than names.
_STALE_MAX = 64


class Deadlines:
    """One moment a name, in Unix milliseconds. Setting and finding the first cost O(log n)."""

    __slots__ = ("_heap", "times")

    def __init__(self, times: dict[bytes, int] | None = None) -> None:
        self.times: dict[bytes, int] = {} if times is None else times
        # A moment that was changed or dropped since is still here, and is skipped when it comes up. None while there
        # were never more than a few names.
        self._heap: list[tuple[int, bytes]] | None = None
        if len(self.times) > _FEW:
            self._heap = self._built()

    def _built(self) -> list[tuple[int, bytes]]:
        heap = [(when_ms, name) for name, when_ms in self.times.items()]
        heapify(heap)
        return heap

    def __len__(self) -> int:
        return len(self.times)

    def set(self, name: bytes, when_ms: int) -> None:
        """Let `name` be due then, and at no other time."""
        times, heap = self.times, self._heap
        times[name] = when_ms
        if heap is None:
            if len(times) > _FEW:
                self._heap = self._built()
            return
        heappush(heap, (when_ms, name))
        if len(heap) > 2 * len(times) + _STALE_MAX:
            self._heap = self._built()

    def forget(self, name: bytes) -> bool:
        """Drop the moment of `name`; False when it has none."""
        return self.times.pop(name, None) is not None

    def first_ms(self) -> int | None:
        """When the first is due; None when there is none."""
        times, heap = self.times, self._heap
        if heap is None:
            return min(times.values(), default=None)
        while heap:
            when_ms, name = heap[0]
            if times.get(name) == when_ms:
                return when_ms
            heappop(heap)
        return None

    def take_due(self, now_ms: int, limit: int = 0) -> list[bytes]:
        """Take out those whose moment has passed, in order; no more than `limit` of them unless that is 0."""
        heap = self._heap
        if heap is None:
            due = [name for _, name in sorted((when, name) for name, when in self.times.items() if when < now_ms)]
            due = due[:limit] if limit else due
            for name in due:
                del self.times[name]
            return due
        due = []
        while not limit or len(due) < limit:
            first_ms = self.first_ms()
            if first_ms is None or first_ms >= now_ms:
                break
            _, name = heappop(heap)
            del self.times[name]
            due.append(name)
        return due

    def copy(self) -> Deadlines:
        return Deadlines(self.times.copy())
