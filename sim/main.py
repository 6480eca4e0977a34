"""`shardlab sim`: one run, many runs, a replay, a search for fewer faults.

    run --seed N         one run: what happened, and the verdict
    replay --seed N      the same with every event, and the digest of them all
    swarm --seeds A..B   many runs with faults drawn from their seeds; stops at the first broken invariant
    shrink --seed N      a smaller set of faults that still breaks what seed N breaks
    rules ...            the same for the rules alone, without sockets (`sim.rules`)

Status 0: everything held. 1: something broke. 2: the words were not understood.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from sim.faults import Kind
from sim.planted import BUGS
from sim.shape import Shape, draw_shape
from sim.swarm import command, shrink, swarm
from sim.tally import Tally
from sim.timeline import Timeline
from sim.trial import Plan, Verdict, run
from sim.workload import Recorder
from sim.world import World

_ALIASES = {"partition": Kind.CUT}
_FAILOVER_HELP = "who replaces a dead master: the sentinels, or the cluster by votes"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


class Witness(Recorder, Protocol):
    """Somebody who writes down what the clients of a run see, and has something to say about it."""

    def report(self, verdict: Verdict) -> Iterable[str]: ...


def main(argv: Sequence[str], witness: Callable[[World], Witness] | None = None) -> int:
    """Run one command; returns its exit status. A single run is shown to a witness, if there is one."""
    if argv and argv[0] == "rules":
        from sim.rules.main import main as rules

        return rules(argv[1:])
    try:
        options = _parser().parse_args(argv)
        shape = _shape(options, options.failover if options.failover != "both" else "sentinel")
    except SystemExit as stop:
        return int(stop.code or 0)
    except ValueError as error:
        sys.stderr.write(f"shardlab sim: {error}\n")
        return 2
    plan = Plan(
        seed=getattr(options, "seed", 0),
        shape=shape,
        kinds=options.faults,
        duration_s=options.duration,
        heal_within_s=options.heal_within,
        clients=options.clients,
        per_second=options.rate,
        only=getattr(options, "only", None),
        bug=options.plant,
    )
    match options.command:
        case "run":
            return _run(plan, witness)
        case "replay":
            return _replay(plan, options.out)
        case "shrink":
            return _shrink(plan)
        case _:
            return _swarm(plan, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shardlab sim", description="A whole cluster in one process, in virtual time."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("run", "one run: what happened, and the verdict"),
        ("replay", "one run with every event, and the digest of them all"),
        ("swarm", "many runs; stops at the first broken invariant"),
        ("shrink", "fewer faults that still break what a seed breaks"),
    ):
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        _add_plan(added)
        if name == "swarm":
            added.add_argument("--seeds", type=_seeds, metavar="A..B", help="from the first to the last, both included")
            added.add_argument("--seeds-of", metavar="WORD", help="seeds without end, drawn from a word: a commit, say")
            added.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="J", help="at a time")
            added.add_argument("--budget", type=_seconds, metavar="TIME", help="end after this (3m, 90s)")
            added.add_argument(
                "--failover", choices=("sentinel", "cluster", "both"), default="both", help=_FAILOVER_HELP
            )
        else:
            added.add_argument("--seed", type=int, required=True, metavar="N", help="decides everything")
            added.add_argument("--only", type=_numbers, metavar="N,N", help="only these of the faults drawn ('none')")
            added.add_argument("--failover", choices=("sentinel", "cluster"), default="sentinel", help=_FAILOVER_HELP)
        if name == "replay":
            added.add_argument("--out", type=Path, metavar="FILE", help="where to write the events (the screen)")
    commands.add_parser("rules", help="the rules alone: faster, and for bigger clusters", add_help=False)
    return parser


def _add_plan(parser: argparse.ArgumentParser) -> None:
    usual = Plan(0)
    kinds = ", ".join(Kind)
    parser.add_argument("--nodes", type=int, metavar="N", help="data nodes, masters and replicas together")
    parser.add_argument("--masters", type=int, metavar="N", help="masters (3)")
    parser.add_argument("--replicas", type=int, metavar="N", help="replicas of each master (1)")
    parser.add_argument("--sentinels", type=int, metavar="N", help="sentinels (3; none with --failover cluster)")
    parser.add_argument("--down-after-milliseconds", dest="down_after_ms", type=int, metavar="MS", help="silence (500)")
    parser.add_argument(
        "--directive", action="append", default=[], metavar="'NAME VALUE'", help="a line for every node's redis.conf"
    )
    parser.add_argument("--faults", type=_kinds, default=usual.kinds, metavar="KIND,KIND", help=f"of {kinds}, or none")
    parser.add_argument(
        "--duration", type=_seconds, default=usual.duration_s, metavar="TIME", help="for which there are faults (30s)"
    )
    parser.add_argument(
        "--heal-within", type=_seconds, default=usual.heal_within_s, metavar="TIME", help="after the faults (90s)"
    )
    parser.add_argument("--clients", type=int, default=usual.clients, metavar="N", help="clients (3)")
    parser.add_argument(
        "--rate", type=float, default=usual.per_second, metavar="N", help="operations a second of each (20)"
    )
    parser.add_argument(
        "--plant", choices=tuple(BUGS), default="", metavar="BUG", help=f"have programs with a bug: {', '.join(BUGS)}"
    )


def _shape(options: argparse.Namespace, failover: str) -> Shape:
    """Raises ValueError."""
    usual = Shape()
    masters = usual.masters if options.masters is None else options.masters
    replicas = options.replicas
    if masters < 1 or options.clients < 0 or options.rate <= 0 or (replicas is not None and replicas < 0):
        raise ValueError("at least one master, and no negative numbers")
    if options.nodes is not None:
        if options.nodes % masters:
            raise ValueError(f"--nodes {options.nodes} cannot be {masters} masters with as many replicas each")
        replicas = options.nodes // masters - 1
    by_cluster = failover == "cluster"
    sentinels = options.sentinels if options.sentinels is not None else 0 if by_cluster else usual.sentinels
    return Shape(
        masters=masters,
        replicas=usual.replicas if replicas is None else replicas,
        sentinels=sentinels,
        failover="cluster" if by_cluster else "sentinel",
        down_after_ms=usual.down_after_ms if options.down_after_ms is None else options.down_after_ms,
        directives=tuple(options.directive),
    )


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no time: 500ms, 90s, 3m, 1h")
    return float(found[1]) * _UNITS[found[2]]


def _seeds(text: str) -> range:
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no range of seeds: 1..1000")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def _numbers(text: str) -> tuple[int, ...]:
    if text != "none" and re.fullmatch(r"\d+(,\d+)*", text) is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of faults: 0,3,4 (their numbers behind #), or none")
    return () if text == "none" else tuple(map(int, text.split(",")))


def _kinds(text: str) -> tuple[Kind, ...]:
    if text == "none":
        return ()
    words = text.split(",")
    unknown = [word for word in words if word not in _ALIASES and word not in list(Kind)]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no fault '{unknown[0]}', but {', '.join(Kind)}")
    return tuple(_ALIASES.get(word) or Kind(word) for word in words)


# ---- the commands


def _run(plan: Plan, witness: Callable[[World], Witness] | None) -> int:
    witnesses: list[Witness] = []

    def recorders(world: World) -> list[Witness]:
        if witness is not None:
            witnesses.append(witness(world))
        return witnesses

    shape = plan.shape
    by = f"{shape.sentinels} sentinels replace" if shape.failover == "sentinel" else "the others' votes replace"
    kinds = ", ".join(plan.kinds) or "none"
    sys.stdout.write(
        f"{shape.masters} masters with {shape.replicas} replicas each; {by} a master that is silent for "
        f"{shape.down_after_ms} ms\n{plan.clients} clients; {plan.duration_s:g} s of faults: {kinds}\n\n"
    )
    timeline = Timeline(sys.stdout.write)
    verdict = run(plan, prepare=timeline.watch, listen=timeline.show, recorders=recorders)
    sys.stdout.write("\n")
    status = _conclude(verdict)
    for each in witnesses:
        sys.stdout.writelines(f"{line}\n" for line in each.report(verdict))
    return status


def _conclude(verdict: Verdict) -> int:
    """The verdict in a few lines; returns the exit status."""
    begun, acknowledged, refused, unknown = verdict.operations
    struck = ", ".join(f"{count} {kind}" for kind, count in verdict.struck.items()) or "none"
    # A seed replays on the Python that found it: another one may order or draw otherwise.
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    lines = [
        f"seed {verdict.plan.seed} on {python}: {verdict.virtual_s:.1f} virtual seconds, {verdict.events} events, "
        f"digest {verdict.digest}",
        f"faults: {struck}; {len(verdict.failovers)} promotions",
        f"operations: {begun} begun, {acknowledged} acknowledged, {refused} refused, {unknown} unknown",
    ]
    if verdict.healed_after_s is not None:
        lines.append(f"healed {verdict.healed_after_s:.2f} s after the last fault was mended")
    for reason, count in Counter(loss.reason for loss in verdict.losses).items():
        windows = [abs(loss.window_s) for loss in verdict.losses if loss.reason is reason and loss.window_s is not None]
        widest = f" (by up to {max(windows):.3f} s)" if windows else ""
        faults = {strike.number: strike for loss in verdict.losses if loss.reason is reason for strike in loss.faults}
        because = ", ".join(f"#{number} {faults[number].kind}" for number in sorted(faults))
        lines.append(f"lost: {count} acknowledged writes, {reason}{widest}" + (f": {because}" if because else ""))
    if verdict.good:
        lines.append("good: every rule held")
    else:
        lines += [f"BROKEN  {breach}" for breach in verdict.breaches]
        lines.append(f"replay it:  {command('replay', verdict.plan)}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if verdict.good else 1


def _replay(plan: Plan, out: Path | None) -> int:
    verdict = run(plan, keep_trace=True)
    if out is None:
        sys.stdout.writelines(verdict.text)
    else:
        with out.open("w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(verdict.text)
    return _conclude(verdict)


def _shrink(plan: Plan) -> int:
    def tried(strikes: int, verdict: Verdict) -> None:
        sys.stdout.write(f"{strikes} faults: {'good' if verdict.good else verdict.breaches[0].rule}\n")
        sys.stdout.flush()

    worst = shrink(plan, tried)
    if worst.good:
        sys.stdout.write("this run breaks nothing\n")
        return 0
    smaller = replace(plan, only=tuple(strike.number for strike in worst.strikes))
    sys.stdout.writelines(f"{strike.at_s:10.3f}  {strike}\n" for strike in worst.strikes)
    sys.stdout.write(f"BROKEN  {worst.breaches[0]}\nreplay it:  {command('replay', smaller)}\n")
    return 1


def _swarm(plan: Plan, options: argparse.Namespace) -> int:
    if (options.seeds is None) == (options.seeds_of is None):
        sys.stderr.write("shardlab sim swarm: --seeds A..B or --seeds-of WORD, one of them\n")
        return 2
    if options.seeds is None and options.budget is None:
        sys.stderr.write("shardlab sim swarm: --seeds-of has no end, so it needs a --budget\n")
        return 2
    seeds = iter(options.seeds) if options.seeds is not None else _seeds_of(options.seeds_of)
    runs = (replace(plan, seed=seed, shape=_drawn_shape(options, seed)) for seed in seeds)
    with Tally(len(options.seeds) if options.seeds is not None else None) as tally:
        try:
            bad, given_up = swarm(runs, options.jobs, tally.add, budget_s=options.budget)
        except ValueError as error:
            sys.stderr.write(f"shardlab sim swarm: {error}\n")
            return 2
    sys.stdout.write(tally.summary())
    if given_up:
        sys.stdout.write(f"given up at the end of the budget: {given_up} runs\n")
    if bad is not None:
        return _conclude(bad)
    if not tally.struck or not tally.acknowledged:
        # What struck nothing, or judged nothing, has shown nothing.
        sys.stdout.write("nothing was tested: no fault struck, or no operation was acknowledged\n")
        return 1
    return 0


def _drawn_shape(options: argparse.Namespace, seed: int) -> Shape:
    """The shape of a seed's cluster; what the command line says is not drawn."""
    drawn = draw_shape(seed, None if options.failover == "both" else options.failover)
    told = _shape(options, drawn.failover)
    return replace(
        drawn,
        masters=drawn.masters if options.masters is None and options.nodes is None else told.masters,
        replicas=drawn.replicas if options.replicas is None and options.nodes is None else told.replicas,
        sentinels=drawn.sentinels if options.sentinels is None else told.sentinels,
        down_after_ms=drawn.down_after_ms if options.down_after_ms is None else told.down_after_ms,
        directives=told.directives or drawn.directives,
    )


def _seeds_of(word: str) -> Iterator[int]:
    """Other seeds for every word, in an order of their own."""
    number = 0
    while True:
        yield int.from_bytes(sha256(f"{word}/{number}".encode()).digest()[:5], "big")
        number += 1
