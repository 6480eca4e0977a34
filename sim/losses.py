"""Acknowledged writes that are gone in the end, what made that possible, and whether it excuses the loss.

Redis replicates asynchronously, so some losses are permitted. Each has its rule here, and each rule wants the faults
named that made it possible:

*Superseded*: whoever acknowledged the write had been replaced, and a fault kept the news from it, or the news was on
its way; and a fault made it seem dead when it was replaced.

*Not replicated*: a master's place was taken by a node that never had the write. A fault ended the master, or made it
seem dead; from the write on there was no quarter of a second in which nothing hampered the replication between the two;
and of all others who had it, a fault kept each from being chosen.

*Forgotten*: the place was taken by a node that had had it and lost its memory, by a fault: the master itself, when it
was restarted, or a replica. Faults ended the master, or kept it out of reach for so long that it is given up, and kept
all others who had it from being chosen, or from telling a master that was back that they have it.

Anything else is a broken promise. How long before the end of its master a write was acknowledged is its window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sentinel.selection import FORGOTTEN_MS
from sim.choosers import Choosers
from sim.claims import Claim, Claims
from sim.copies import Lives
from sim.faults import Strike
from sim.serving import NEWS_S, heard_within_s
from sim.shape import Shape
from sim.troubles import NEVER, SILENCING, SILENCING_ON_BUS, Trouble, Troubles, longest_gap_s
from sim.workload import Mark

# A write is with the replicas a few milliseconds after it was acknowledged, when nothing hampers that; who has it is
# looked at ten times a second.
WINDOW_S = 0.25
# A new master's replicas hear of it, and follow.
_FOLLOW_S = 5.0
# A node that was restarted has loaded its files by then.
_LOADED_S = 1.0


class Reason(StrEnum):
    """Why a write may be gone."""

    SUPERSEDED = "acknowledged by a master that had been replaced"
    NOT_REPLICATED = "not replicated yet when its master ended"
    FORGOTTEN = "everybody who had it was struck"
    NONE = "no reason"


@dataclass(frozen=True, slots=True)
class Loss:
    """An acknowledged write that is gone."""

    mark: Mark
    reason: Reason
    # How long before the end of its master it was written, or, where that had ended, after it (negative).
    window_s: float | None = None
    # The faults that made it possible.
    faults: tuple[Strike, ...] = ()
    # What is missing for an excuse.
    why_not: str = ""

    @property
    def explained(self) -> bool:
        return self.reason is not Reason.NONE


@dataclass(frozen=True, slots=True)
class _Change:
    """A slot's master is another process now: a new node's, or the same node's after a restart."""

    at_s: float
    before: Claim
    heir: Claim

    @property
    def reborn(self) -> bool:
        return self.heir is self.before


class _Inexcusable(Exception):  # noqa: N818 - a finding, not a fault of the program
    """No fault is known that would have made this possible."""


class Judge:
    """Judges the losses of one run."""

    __slots__ = ("_choosers", "_claims", "_lives", "_shape", "_troubles")

    def __init__(self, shape: Shape, claims: Claims, lives: Lives, troubles: Troubles) -> None:
        self._shape = shape
        self._claims = claims
        self._lives = lives
        self._troubles = troubles
        self._choosers = Choosers(shape, claims, troubles)

    def judge(self, mark: Mark, shard: Sequence[str]) -> Loss:
        """Why this write, which is gone, may be. `shard` are the nodes that were to have it."""
        written_at = self._written_at(mark)
        reigns = self._claims.reigns(mark.slot)
        reign = next((claim for claim in reversed(reigns) if claim.at_s <= written_at), None)
        window_s = None
        try:
            if reign is None:
                raise _Inexcusable("nobody was its slot's master")
            if reign.name != mark.acknowledged_by:
                return self._superseded(mark, written_at)
            change = self._forgetting(mark, written_at, reigns)
            if change is None:
                raise _Inexcusable("its slot's masters have always had it")
            ended_at = min(self._lives.first_end(change.before.name, max(written_at, change.before.at_s)), change.at_s)
            window_s = ended_at - written_at
            return self._lost_at(mark, shard, change, written_at, ended_at)
        except _Inexcusable as finding:
            return Loss(mark, Reason.NONE, window_s, why_not=str(finding))

    def _written_at(self, mark: Mark) -> float:
        """When it was executed: seen there, or, if its master did not live that long, not later than its end."""
        assert mark.acknowledged_at is not None
        master = mark.acknowledged_by
        seen_at = min((held.since for held in mark.holdings.get(master, ())), default=NEVER)
        return min(seen_at, mark.acknowledged_at, self._lives.first_end(master, mark.begun_at))

    def _forgetting(self, mark: Mark, after: float, reigns: Sequence[Claim]) -> _Change | None:
        """The change after which no master of its slot had it any more."""
        found = None
        for change in self._changes(after, reigns):
            within_s = _LOADED_S if change.reborn else 0.0
            if mark.held(change.heir.name, change.at_s, change.at_s + within_s) is not None:
                found = None
            elif found is None:
                found = change
        return found

    def _changes(self, after: float, reigns: Sequence[Claim]) -> list[_Change]:
        found = []
        for number, reign in enumerate(reigns):
            until = reigns[number + 1].at_s if number + 1 < len(reigns) else NEVER
            if reign.at_s > after and number > 0 and reigns[number - 1].name != reign.name:
                found.append(_Change(reign.at_s, reigns[number - 1], reign))
            births = self._lives.births(reign.name, max(after, reign.at_s), until)
            found += [_Change(moment, reign, reign) for moment in births]
        return found

    # ---- the rules

    def _superseded(self, mark: Mark, written_at: float) -> Loss:
        master = mark.acknowledged_by
        claim = self._claims.at(master, mark.slot, written_at)
        successor = None if claim is None else self._claims.successor(claim, mark.slot)
        if successor is None or successor.at_s > written_at:
            raise _Inexcusable(f"{master} did not claim its slot")
        faults = [self._wanted(self._choosers.unheard(master, successor.at_s), f"nothing made {master} seem dead")]
        faults += self._kept_news(master, successor, written_at)
        return _excused(mark, Reason.SUPERSEDED, successor.at_s - written_at, faults)

    def _kept_news(self, master: str, successor: Claim, until: float) -> list[Trouble]:
        """What kept the news of its successor from a master until then; where nothing does, it comes at once."""
        lasting_s = heard_within_s(self._shape)
        keeping = [
            trouble
            for trouble in self._troubles.between(master, successor.name, SILENCING_ON_BUS)
            if trouble.on(successor.at_s, until, lasting_s)
        ]
        spans = [(trouble.began_at, trouble.ended_at + lasting_s) for trouble in keeping]
        gap_s = longest_gap_s(spans, successor.at_s, until)
        if gap_s > NEWS_S:
            raise _Inexcusable(f"the news of {successor.name} could have reached {master} for {gap_s:.3f} s")
        return keeping

    def _lost_at(self, mark: Mark, shard: Sequence[str], change: _Change, written_at: float, ended_at: float) -> Loss:
        master, heir = change.before.name, change.heir.name
        crashed = ended_at < change.at_s or change.reborn
        if change.reborn and self._shape.logs:
            raise _Inexcusable(f"{master} had it in its log, and was restarted")
        if crashed:
            end = self._troubles.crash(master, ended_at)
        else:
            end = self._choosers.unheard(master, change.at_s)
        faults = [self._wanted(end, f"nothing ended {master}")]
        forgot = change.reborn
        if not change.reborn:
            had = mark.last_held(heir, change.at_s)
            since = max(written_at, change.before.at_s, -NEVER if had is None else had.until)
            if had is not None and self._lives.first_end(heir, had.until) == had.until:
                forgot = True
                crash = self._troubles.crash(heir, had.until)
                faults.append(self._wanted(crash, f"nothing ended {heir}, which had it"))
                if not crashed and change.at_s - faults[0].began_at < FORGOTTEN_MS / 1000:
                    raise _Inexcusable(f"{master} still had it, and was not to be given up for {heir}")
            faults += self._lag(master, heir, change.before.at_s, since, min(ended_at, change.at_s))
        for name in shard:
            if name not in (master, heir):
                faults += self._passed_over(mark, name, change, ended_at)
        return _excused(mark, Reason.FORGOTTEN if forgot else Reason.NOT_REPLICATED, ended_at - written_at, faults)

    def _lag(self, master: str, heir: str, reigns_since: float, after: float, until: float) -> list[Trouble]:
        """What hampered replication from a write on until the master's end."""
        hampering = [
            trouble
            for trouble in self._troubles.between(master, heir, SILENCING)
            if trouble.began_at <= until and trouble.caught_up_at >= after
        ]
        spans = [(trouble.began_at, trouble.caught_up_at) for trouble in hampering]
        gap_s = longest_gap_s([*spans, (reigns_since, reigns_since + _FOLLOW_S)], after, until)
        if gap_s > WINDOW_S:
            raise _Inexcusable(f"{heir} could have had it from {master} for {gap_s:.3f} s")
        return hampering

    def _passed_over(self, mark: Mark, name: str, change: _Change, ended_at: float) -> list[Trouble]:
        """Why one of the others, if it had the write, did not get the place."""
        held = mark.held(name, change.at_s, change.at_s)
        if held is None:
            had = mark.last_held(name, change.at_s)
            if had is None or self._lives.first_end(name, had.until) != had.until:
                return []
            return [self._wanted(self._troubles.crash(name, had.until), f"nothing ended {name}, which had it")]
        # A master that was restarted waits for those who have more; until they have thrown it away for its copy.
        until = held.until if change.reborn else change.at_s
        untold = self._choosers.untold(name, change.heir.name, change.at_s, until) if change.reborn else None
        return [
            self._wanted(
                untold
                or self._choosers.unseen(name, change.heir.name, change.at_s, until)
                or self._choosers.may_not_stand(name, ended_at)
                or self._choosers.never_followed(name, change.before.name, change.before.at_s, ended_at),
                f"{name} had it, and nothing kept it from taking the place of {change.before.name}",
            )
        ]

    @staticmethod
    def _wanted(trouble: Trouble | None, why_not: str) -> Trouble:
        if trouble is None:
            raise _Inexcusable(why_not)
        return trouble


def _excused(mark: Mark, reason: Reason, window_s: float, troubles: Sequence[Trouble]) -> Loss:
    return Loss(mark, reason, window_s, tuple(dict.fromkeys(trouble.strike for trouble in troubles)))
