"""Whom the faults of a run struck, and when: what excuses a node, and what does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sim.faults import Kind, Strike

# So long after a fault those whom it hampered may still have been behind.
CATCH_UP_S = 5.0
# What these do hampers no replication and makes nobody forget.
_HARMLESS = (Kind.SKEW, Kind.DRIFT)


class Troubles:
    """The faults of a run, by whom they struck and when."""

    __slots__ = ("_began_at", "_strikes")

    def __init__(self, strikes: Sequence[Strike], began_at: float) -> None:
        self._strikes = [strike for strike in strikes if strike.kind not in _HARMLESS]
        # When the run began: strikes are timed from there.
        self._began_at = began_at

    def struck(self, name: str, after: float, until: float, lasting_s: float = CATCH_UP_S) -> bool:
        """Whether a fault, or what was left to mend of one for so long, concerned a host within that time."""
        return any(begin <= until and after <= end + lasting_s for begin, end in self._of(name))

    def out_of_reach(self, name: str, after: float, until: float) -> float:
        """For how long before `until` a fault that was on at `after` or later had concerned a host."""
        return max((until - begin for begin, end in self._of(name) if after <= end), default=0.0)

    def _of(self, name: str) -> Iterator[tuple[float, float]]:
        for strike in self._strikes:
            if name in strike.targets or name in strike.others:
                begin = self._began_at + strike.at_s
                yield begin, begin + strike.lasting_s
