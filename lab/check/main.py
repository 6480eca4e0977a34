"""`shardlab check FILE`: judge a run by its history.

Exit status: 0 the run was good, 1 it was not, 2 the file is not a history.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lab.check.availability import timeline
from lab.check.linearizable import STEPS_MAX, WINDOW_S, Verdict
from lab.check.lost_writes import Loss
from lab.check.models import ModelError
from lab.check.verdict import Judgement, Limits, judge
from lab.history import History, HistoryError, Kind, Outcome, read

# Lines of one kind in the report; the rest is counted.
_SHOWN_MAX = 5


def main(argv: list[str]) -> int:
    """Judge the file that the arguments name, and print the report."""
    options = _parser().parse_args(argv)
    limits = Limits(
        window_s=options.window,
        steps_max=options.steps,
        faults=not options.calm,
        recovery_max_s=options.recovery,
    )
    try:
        with options.file.open(encoding="utf-8") as lines:
            history = read(lines)
        judgement = judge(history, limits)
    except (HistoryError, ModelError, UnicodeDecodeError) as error:
        sys.stderr.write(f"shardlab check: {options.file}: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"shardlab check: {options.file}: {error.strerror}\n")
        return 2
    sys.stdout.write("\n".join(report(history, judgement, limits)) + "\n")
    return 0 if judgement.good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shardlab check", description="Judge a run by the history of its clients.")
    parser.add_argument("file", type=Path, metavar="FILE", help="the history, as JSON lines")
    parser.add_argument(
        "--window",
        type=float,
        default=WINDOW_S,
        metavar="SECONDS",
        help=f"acknowledged writes of this long before a fault may be lost with it ({WINDOW_S})",
    )
    parser.add_argument(
        "--recovery", type=float, metavar="SECONDS", help="the longest that service may take to come back"
    )
    parser.add_argument("--calm", action="store_true", help="the run was not meant to break anything")
    parser.add_argument(
        "--steps", type=int, default=STEPS_MAX, metavar="N", help=f"steps of search for each key ({STEPS_MAX})"
    )
    return parser


def report(history: History, judgement: Judgement, limits: Limits) -> Iterator[str]:
    """The judgement as lines of text."""
    outcomes = judgement.operations
    yield (
        f"{sum(outcomes.values())} operations: {outcomes[Outcome.OK]} succeeded, {outcomes[Outcome.FAIL]} failed, "
        f"{outcomes[Outcome.UNKNOWN]} unknown; {judgement.judged} judged, on {len(judgement.keys)} objects"
    )
    yield f"{judgement.faults} faults struck, {judgement.failovers} failovers were seen"
    for moment in sorted(history.moments, key=lambda moment: moment.at):
        whose = f" of {', '.join(moment.groups)}" if moment.groups else ""
        arrow = (
            f"{moment.target} -> {moment.name}" if moment.kind is Kind.FAILOVER else f"{moment.name} {moment.target}"
        )
        yield f"  {moment.at:9.3f} s  {moment.kind.value}: {arrow.strip()}{whose}"
    yield ""
    yield from _linearizability(judgement)
    yield from losses(judgement, limits)
    yield from staleness(judgement)
    yield from service(history, judgement)
    yield ""
    yield from (f"FAILURE: {failure}" for failure in judgement.failures[: 4 * _SHOWN_MAX])
    if len(judgement.failures) > 4 * _SHOWN_MAX:
        yield f"FAILURE: and {len(judgement.failures) - 4 * _SHOWN_MAX} more"
    yield "GOOD" if judgement.good else "NOT GOOD"


def _linearizability(judgement: Judgement) -> Iterator[str]:
    verdicts = Counter(key.verdict for key in judgement.keys)
    yield "linearizability: " + ", ".join(f"{verdicts[one]} {one.value}" for one in Verdict if verdicts[one])
    explained = [key for key in judgement.keys if key.verdict is Verdict.EXPLAINED]
    for key in explained[:_SHOWN_MAX]:
        for rollback in key.rollbacks:
            yield (
                f"  {key.model} {key.key} went back to {rollback.after} "
                f"at the failover to {rollback.failover.moment.name}, losing {len(rollback.lost)} acknowledged"
            )
    yield from _and_more(len(explained))


def losses(judgement: Judgement, limits: Limits) -> Iterator[str]:
    """Which acknowledged writes are gone."""
    lost = judgement.lost
    unjudged = f" ({lost.unjudged} more have no final read)" if lost.unjudged else ""
    yield f"lost writes: {len(lost.losses)} of {lost.judged} acknowledged{unjudged}"
    groups: dict[str, list[Loss]] = {}
    for loss in lost.losses:
        name = "without a failover" if loss.failover is None else f"failover to {loss.failover.moment.name}"
        groups.setdefault(name, []).append(loss)
    for name, losses in groups.items():
        ages = [age for loss in losses if (age := loss.before_fault_s) is not None]
        permitted = sum(loss.permitted(limits.window_s) for loss in losses)
        window = f", acknowledged {_before(max(ages))} to {_before(min(ages))} the fault" if ages else ""
        yield f"  {name}: {len(losses)} lost{window}; {permitted} of them permitted"
    for loss in lost.losses[:_SHOWN_MAX]:
        yield f"    {loss.operation}"
    yield from _and_more(len(lost.losses))


def _before(age_s: float) -> str:
    return f"{abs(age_s) * 1000:.1f} ms {'before' if age_s >= 0 else 'after'}"


def staleness(judgement: Judgement) -> Iterator[str]:
    """Which reads were out of date."""
    stale = judgement.stale
    whom = ", ".join(f"{number} from a {source.value}" for source, number in sorted(stale.by_source().items()))
    oldest = f"; the oldest by {stale.age_max_s() * 1000:.1f} ms" if stale.stale else ""
    yield f"stale reads: {len(stale.stale)} of {stale.reads}{': ' + whom if whom else ''}{oldest}"


def service(history: History, judgement: Judgement) -> Iterator[str]:
    """When each group was served."""
    yield "service: (# served, + some, x none, . nothing asked)"
    width = max((len(service.group) for service in judgement.service), default=0)
    for service in judgement.service:
        yield f"  {service.group:{width}} {timeline(history, service.group)}"
        told = []
        for recovery in service.recoveries:
            time = "never" if recovery.time_s is None else f"{recovery.time_s:.3f} s"
            if recovery.window is not None:
                told.append(f"back after {recovery.fault.name} {recovery.fault.target}: {time}")
        longest = f"longest without service {service.longest_s:.3f} s" if service.windows else "no interruption"
        yield f"  {'':{width}} {'; '.join([longest, *told])}"


def _and_more(number: int) -> Iterator[str]:
    if number > _SHOWN_MAX:
        yield f"    and {number - _SHOWN_MAX} more"
