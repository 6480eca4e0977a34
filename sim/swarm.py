"""Many runs: a range of seeds on all processors until one breaks something, and the search for what broke it.

A seed is only half of a run: the same one with another shape or other kinds of faults is another run. So what replays
it is a whole command line, and `command` writes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from sim.faults import Kind
from sim.trial import Plan, Verdict, run
from sim.workers import Workers


def swarm(
    plans: Iterator[Plan], jobs: int, ended: Callable[[Verdict], None], *, budget_s: float | None = None
) -> tuple[Verdict | None, int]:
    """Run plans until one is bad, which is returned, or none are left, or so many real seconds have passed; also
    returns how many runs were given up in the middle then. `ended` is told of each verdict."""
    deadline = None if budget_s is None else time.monotonic() + budget_s
    with Workers(jobs, run) as workers:
        while True:
            # Each has one: what waited somewhere would still begin after the first bad run.
            for worker, plan in zip(workers.idle(), plans, strict=False):
                worker.begin(plan)
            if not workers.busy():
                return None, 0
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                return None, len(workers.busy())
            for verdict in workers.verdicts(left_s):
                ended(verdict)
                if not verdict.good:
                    return verdict, 0


def shrink(plan: Plan, tried: Callable[[int, Verdict], None]) -> Verdict:
    """Look for fewer strikes that still break the same rule; returns the smallest bad run found. `tried` is told how
    many strikes each attempt had. Returns a good verdict when the plan itself breaks nothing."""
    worst = run(plan)
    tried(len(worst.strikes), worst)
    if worst.good:
        return worst
    rule = worst.breaches[0].rule
    kept = [strike.number for strike in worst.strikes]
    # Halves, then quarters, and so on down to single strikes; again from the start of a size whenever something went.
    size = max(1, len(kept) // 2)
    while kept:
        for start in range(0, len(kept), size):
            fewer = kept[:start] + kept[start + size :]
            verdict = run(replace(plan, only=tuple(fewer)))
            tried(len(fewer), verdict)
            if any(breach.rule == rule for breach in verdict.breaches):
                kept, worst = fewer, verdict
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
            continue
        size = max(1, min(size, len(kept) // 2))
    return worst


def command(verb: str, plan: Plan) -> str:
    """The command line that does `verb` with exactly this run."""
    shape, usual = plan.shape, Plan(plan.seed)
    words = ["shardlab", "sim", verb, "--seed", str(plan.seed)]
    for option, value, default in (
        ("--masters", shape.masters, usual.shape.masters),
        ("--replicas", shape.replicas, usual.shape.replicas),
        ("--failover", shape.failover, usual.shape.failover),
        ("--sentinels", shape.sentinels, 0 if shape.failover == "cluster" else usual.shape.sentinels),
        ("--down-after-milliseconds", shape.down_after_ms, usual.shape.down_after_ms),
        ("--duration", f"{plan.duration_s:g}s", f"{usual.duration_s:g}s"),
        ("--heal-within", f"{plan.heal_within_s:g}s", f"{usual.heal_within_s:g}s"),
        ("--clients", plan.clients, usual.clients),
        ("--rate", f"{plan.per_second:g}", f"{usual.per_second:g}"),
        ("--faults", _kinds(plan.kinds), _kinds(usual.kinds)),
    ):
        if value != default:
            words += [option, str(value)]
    for directive in shape.directives:
        words += ["--directive", f"'{directive}'"]
    if plan.bug:
        words += ["--plant", plan.bug]
    if plan.only is not None:
        words += ["--only", ",".join(map(str, plan.only)) or "none"]
    return " ".join(words)


def _kinds(kinds: Sequence[Kind]) -> str:
    return ",".join(kinds)
