"""How long the runs of a command took, as a distribution from which percentiles are read.

The buckets are those of an HDR histogram of nanoseconds with two digits up to a second, as in Redis, because what
LATENCY HISTOGRAM and INFO latencystats show are bounds of such buckets: up to 255 each value has its own, above that
each power of two is divided into 128.

To put every run into its bucket would cost a busy server several per cent of its time. Between two settlements (ten a
second) the first runs of each command are put, and whatever takes long; the others are spread like the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator

_LONGEST_NS = 1_000_000_000
# Bits of a value that tell buckets apart.
_PRECISION_BITS = 8
# The last of the buckets, and its upper end.
_LONGEST_BUCKET_NS = _LONGEST_NS >> 22 << 22
_LAST_NS = (1 << 30) - 1
# So many runs are put between two settlements.
_SAMPLES_MAX = 32
# A run this long is always put.
LONG_NS = 1_000_000


class Durations:
    """The distribution of one command."""

    __slots__ = ("_buckets", "_samples", "kept", "known", "omitted")

    def __init__(self) -> None:
        # `latency-tracking`: whether the distribution is kept.
        self.kept = True
        # How many runs are in each bucket, by the lowest value that belongs in it, and in all.
        self._buckets: dict[int, int] = {}
        self.known = 0
        # Runs that do not belong in it: their clients still wait, or did in vain, or it was not kept then.
        self.omitted = 0
        # Those of the first runs since the last settlement.
        self._samples: list[tuple[int, int]] = []

    def clear(self) -> None:
        self._buckets.clear()
        self._samples.clear()
        self.known = self.omitted = 0

    def sample(self, took_ns: int, runs: int) -> bool:
        """Put runs that took so long each; False when no more are wanted for now, except long ones."""
        if not self.kept:
            return False
        lowest = self._put(took_ns, runs)
        if len(self._samples) < _SAMPLES_MAX:
            self._samples.append((lowest, runs))
        return len(self._samples) < _SAMPLES_MAX

    def finish(self, took_ns: int) -> None:
        """A run that had been omitted has come to its end."""
        if self.kept:
            self.omitted -= 1
            self._put(took_ns, 1)

    def settle(self, calls: int) -> None:
        """There have been so many runs: spread those that were not put like those that were."""
        missing = calls - self.omitted - self.known
        samples = self._samples
        if not missing or not samples:
            self.omitted += missing
        else:
            total = sum(runs for _, runs in samples)
            self.known += missing
            for lowest, runs in samples:
                share = missing * runs // total
                self._buckets[lowest] += share
                missing -= share
                total -= runs
        samples.clear()

    def percentile(self, share: float) -> int:
        """The nanoseconds within which `share` percent of the runs ended; at least one run is known."""
        wanted = max(int(share / 100 * self.known + 0.5), 1)
        seen = lowest = 0
        for lowest in sorted(self._buckets):
            seen += self._buckets[lowest]
            if seen >= wanted:
                break
        return lowest if share == 0 else _highest(lowest)

    def cumulative(self) -> Iterator[tuple[int, int]]:
        """How many runs took no longer than so many microseconds, at every power of two of nanoseconds that adds some.

        The bucket at a power of two is counted with those below it, and its upper end is the bound that is shown.
        """
        rest = sorted(self._buckets, reverse=True)
        seen = 0
        for bit in range(10, 31):
            highest = _highest(1 << bit) if bit < 30 else _LAST_NS
            before = seen
            while rest and rest[-1] <= highest:
                seen += self._buckets[rest.pop()]
            if seen > before:
                yield highest // 1000, seen

    def _put(self, took_ns: int, runs: int) -> int:
        """Count runs in their bucket; returns the lowest value that belongs in it."""
        shift = took_ns.bit_length() - _PRECISION_BITS
        if shift <= 0:
            lowest = took_ns or 1
        else:
            lowest = took_ns >> shift << shift if took_ns < _LONGEST_NS else _LONGEST_BUCKET_NS
        self._buckets[lowest] = self._buckets.get(lowest, 0) + runs
        self.known += runs
        return lowest


def _highest(lowest: int) -> int:
    """The greatest value in the bucket that begins with `lowest`."""
    return lowest + (1 << max(lowest.bit_length() - _PRECISION_BITS, 0)) - 1
