"""Which faults struck, when they were really on, and whom they hampered: what excuses a node, and what does not.

The schedule of a run is no evidence, since a strike may find nothing to hurt, and its mending may come late; so what
happens is written down as it happens. A fault of a link hampers those on its two sides with each other, and nobody
else: what is cut off from one replica still has the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from sim.faults import LINK_KINDS, Kind, Strike

NEVER = float("inf")

# What can end a process, besides its own will: of a disk that refuses what must be saved, it dies by itself.
CRASHING = (Kind.KILL, Kind.POWER_CUT, Kind.STOP, Kind.FULL_DISK, Kind.FAILING_DISK)
# What keeps a process from saying anything.
SILENCING = (*CRASHING, Kind.PAUSE)
# The bus says what rests on the disk only when that has it; so a slow one holds up heartbeats and votes.
SILENCING_ON_BUS = (*SILENCING, Kind.SLOW_DISK)

# A process that was asked to end waits for its replicas, and saves: for so long at most.
_ENDS_WITHIN_S = 15.0
# So long after a fault those whom it hampered may still be behind: they connect again and get a full copy.
_CATCH_UP_S = 5.0
# After a cut TCP tries again within as long again as the way was cut, since its pauses double; then the rest follows.
_RETRY_TIMES = 1.0
_RETRY_S = 1.0


@dataclass(slots=True, eq=False)
class Trouble:
    """A fault that struck."""

    strike: Strike
    began_at: float
    ended_at: float = NEVER

    def __str__(self) -> str:
        return f"#{self.strike.number} {self.strike.kind}"

    def on(self, after: float, until: float, lasting_s: float = 0.0) -> bool:
        """Whether it, or what it left to mend for so long, was on within that time."""
        return self.began_at <= until and after <= self.ended_at + lasting_s

    def hampers(self, one: str, other: str) -> bool:
        """Whether it is one of links, and the way between these two hosts is among them, in either direction."""
        strike = self.strike
        if strike.kind not in LINK_KINDS:
            return False
        for here, there in ((one, other), (other, one)):
            if here in strike.targets and (
                there in strike.others or (not strike.others and there not in strike.targets)
            ):
                return True
        return False

    @property
    def caught_up_at(self) -> float:
        """Until when those whom it hampered may be behind because of it."""
        lasted_s = self.ended_at - self.began_at
        is_cut = self.strike.kind in (Kind.CUT, Kind.CUT_ONE_WAY)
        return self.ended_at + max(_CATCH_UP_S, _RETRY_TIMES * lasted_s + _RETRY_S if is_cut else 0.0)


class Troubles:
    """All of a run, in order."""

    __slots__ = ("_all", "_on")

    def __init__(self) -> None:
        self._all: list[Trouble] = []
        # Those that are on, by number.
        self._on: dict[int, Trouble] = {}

    def began(self, strike: Strike, now: float) -> None:
        trouble = Trouble(strike, now)
        self._all.append(trouble)
        if strike.kind is Kind.RESET:
            # It is over at once; those concerned connect again.
            trouble.ended_at = now
        else:
            self._on[strike.number] = trouble

    def ended(self, strike: Strike, now: float) -> None:
        trouble = self._on.pop(strike.number, None)
        if trouble is not None:
            trouble.ended_at = now

    def of_host(self, name: str, kinds: Collection[Kind]) -> Iterator[Trouble]:
        """What of these kinds struck a host or its process."""
        return (trouble for trouble in self._all if trouble.strike.kind in kinds and name in trouble.strike.targets)

    def of_way(self, one: str, other: str) -> Iterator[Trouble]:
        """What hampered two hosts with each other."""
        return (trouble for trouble in self._all if trouble.hampers(one, other))

    def between(self, one: str, other: str, kinds: Collection[Kind]) -> list[Trouble]:
        """What hampered two hosts with each other, and what of these kinds struck either."""
        return [*self.of_way(one, other), *self.of_host(one, kinds), *self.of_host(other, kinds)]

    def crash(self, name: str, moment: float) -> Trouble | None:
        """What made a process end at that moment."""
        return next((t for t in self.of_host(name, CRASHING) if t.on(moment, moment, _ends_within_s(t))), None)


def _ends_within_s(trouble: Trouble) -> float:
    return _ENDS_WITHIN_S if trouble.strike.kind in (Kind.STOP, Kind.FULL_DISK, Kind.FAILING_DISK) else 0.0


def longest_gap_s(spans: Iterable[tuple[float, float]], after: float, until: float) -> float:
    """The longest time within that one which none of the spans, from one moment to another, has a part in."""
    longest, covered = 0.0, after
    for begin, end in sorted(spans):
        if begin > covered:
            longest = max(longest, min(begin, until) - covered)
        covered = max(covered, end)
        if covered >= until:
            return longest
    return max(longest, until - covered)
