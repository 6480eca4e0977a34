"""Draws the faults of a run from its seed: how many, of which kinds, when, how long, against whom.

The whole schedule is drawn beforehand, so it can be shown, cut down strike by strike (`shrink`) and replayed, and what
remains of it stays where it was.

Faults that meet by chance seldom meet well. What makes a choice between replicas hard is that they have not the same
data, or do not hear of each other, at the moment their master dies: so some strikes have a *prelude*, which hurts a
link within the victim's shard shortly before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from random import Random

from sim.faults import LINK_KINDS, Faults, Kind, Strike
from sim.loop import SimLoop

# On average, one strike in so many seconds; and the least time that remains for one before the run ends.
_EVERY_S = 5.0
# Quiet runs, in which a single fault must have no excuse, and wild ones, in which they meet.
_PACES = (0.5, 1.0, 1.0, 2.0, 4.0)
_LAST_BEFORE_END_S = 1.0
# The share of strikes that hit somebody whom another fault concerns at that moment.
_NEAR = 0.3
# How long strikes last: within a heartbeat, about as long as it takes to be noticed, much longer.
_LENGTHS_S = ((0.02, 0.3), (0.3, 2.0), (2.0, 12.0))

# The share of the strikes that silence a node, for long enough to be noticed, which have a prelude; how long it is on
# before, and goes on after.
_PRELUDES = 0.5
_SILENT_S = 1.0
_PRELUDE_S = (0.1, 3.0)
_AFTERWARDS_S = (0.5, 6.0)
_SILENCING = (Kind.KILL, Kind.POWER_CUT, Kind.STOP, Kind.PAUSE)
_PRELUDE_KINDS = (Kind.CUT, Kind.CUT_ONE_WAY, Kind.SLOW_LINK, Kind.LOSSY_LINK)


def draw(
    chance: Random,
    kinds: Sequence[Kind],
    duration_s: float,
    nodes: Sequence[str],
    sentinels: Sequence[str],
    bystanders: Sequence[str],
    shards: Mapping[str, Sequence[str]],
) -> list[Strike]:
    """A schedule, in order of time. Bystanders (clients) are struck only by being on one side of a cut. `shards` has
    all nodes of a node's shard."""
    if not kinds:
        return []
    count = max(1, round(duration_s / _EVERY_S * chance.choice(_PACES) * chance.uniform(0.6, 1.4)))
    strikes: list[Strike] = []
    for _ in range(count):
        near = chance.choice(strikes) if strikes and chance.random() < _NEAR else None
        strike = _draw_one(chance, len(strikes), kinds, duration_s, nodes, sentinels, bystanders, near)
        # One process has one disk and one clock: the same fault twice at a time would be mended by the first mending.
        if not any(_clash(strike, other) for other in strikes):
            strikes.append(strike)
            prelude = _draw_prelude(chance, len(strikes), kinds, duration_s, strike, shards.get(strike.targets[0], ()))
            if prelude is not None:
                strikes.append(prelude)
    return sorted(strikes, key=lambda strike: (strike.at_s, strike.number))


def unleash(loop: SimLoop, faults: Faults, strikes: Sequence[Strike], only: Collection[int] | None = None) -> None:
    """Have the strikes happen, counted from now; `only` those with these numbers, if given."""
    for strike in strikes:
        if only is None or strike.number in only:
            loop.at(loop.now + strike.at_s, faults.strike, strike)
            loop.at(loop.now + strike.at_s + strike.lasting_s, faults.mend, strike.number)


def _draw_one(
    chance: Random,
    number: int,
    kinds: Sequence[Kind],
    duration_s: float,
    nodes: Sequence[str],
    sentinels: Sequence[str],
    bystanders: Sequence[str],
    near: Strike | None,
) -> Strike:
    kind = kinds[chance.randrange(len(kinds))]
    latest_s = max(0.1, duration_s - _LAST_BEFORE_END_S)
    if near is None:
        at_s = round(chance.uniform(0.0, latest_s), 6)
    else:
        at_s = round(chance.uniform(near.at_s, min(near.at_s + near.lasting_s, latest_s)), 6)
    low, high = _LENGTHS_S[chance.randrange(len(_LENGTHS_S))]
    lasting_s = round(min(chance.uniform(low, high), duration_s - at_s), 6)
    amount = _draw_amount(chance, kind)
    everybody = [*nodes, *sentinels]
    # Sentinels are struck less often: a run in which most of them are dead shows little.
    among = sentinels if sentinels and chance.random() < 0.25 else nodes
    if near is not None:
        among = [name for name in (*near.targets, *near.others) if name in everybody] or among
    target = among[chance.randrange(len(among))]
    if kind not in LINK_KINDS:
        return Strike(number, at_s, lasting_s, kind, (target,), (), amount)
    shape = chance.randrange(3)
    if shape == 0:
        # One host and everybody else.
        return Strike(number, at_s, lasting_s, kind, (target,), (), amount)
    if shape == 1:
        # Two hosts that do not reach each other, while everybody reaches both.
        other = everybody[chance.randrange(len(everybody))]
        if other != target:
            return Strike(number, at_s, lasting_s, kind, (target,), (other,), amount)
    # Two parts of the world.
    side = tuple(name for name in (*everybody, *bystanders) if chance.random() < 0.4) or (target,)
    rest = tuple(name for name in (*everybody, *bystanders) if name not in side)
    return Strike(number, at_s, lasting_s, kind, side, rest, amount)


def _draw_prelude(
    chance: Random, number: int, kinds: Sequence[Kind], duration_s: float, strike: Strike, shard: Sequence[str]
) -> Strike | None:
    """What hurts a link within a shard before the strike comes, if this one is to have such a thing."""
    fitting = [kind for kind in kinds if kind in _PRELUDE_KINDS]
    if strike.kind not in _SILENCING or strike.lasting_s < _SILENT_S or not fitting or len(shard) < 3:
        return None
    if chance.random() >= _PRELUDES:
        return None
    kind = fitting[chance.randrange(len(fitting))]
    # Two of them, or another one and everybody else.
    pair = chance.random() < 0.5
    others = [name for name in shard if name != strike.targets[0]]
    one, *others = chance.sample(shard, 2) if pair else chance.sample(others, 1)
    at_s = round(max(0.0, strike.at_s - chance.uniform(*_PRELUDE_S)), 6)
    until_s = min(strike.at_s + chance.uniform(*_AFTERWARDS_S), duration_s)
    return Strike(number, at_s, round(until_s - at_s, 6), kind, (one,), tuple(others), _draw_amount(chance, kind))


def _draw_amount(chance: Random, kind: Kind) -> float:
    match kind:
        case Kind.SLOW_LINK:
            return round(chance.choice((0.005, 0.05, 0.3)) * chance.uniform(0.5, 2.0), 6)
        case Kind.LOSSY_LINK:
            return round(chance.uniform(0.01, 0.4), 3)
        case Kind.SLOW_DISK:
            return round(chance.choice((10.0, 100.0, 1000.0)) * chance.uniform(0.5, 2.0), 1)
        case Kind.SKEW:
            return round(chance.choice((-3600.0, -5.0, -0.5, 0.5, 5.0, 3600.0)) * chance.uniform(0.5, 1.0), 3)
        case Kind.DRIFT:
            return round(chance.uniform(0.9, 1.1), 4)
    return 0.0


def _clash(one: Strike, other: Strike) -> bool:
    return (
        one.kind is other.kind
        and one.kind not in LINK_KINDS
        and one.targets == other.targets
        and one.at_s <= other.at_s + other.lasting_s
        and other.at_s <= one.at_s + one.lasting_s
    )
