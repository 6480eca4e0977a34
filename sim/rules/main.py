"""`shardlab sim rules`: the rules alone, from the command line.

    run --seed N         one run: its faults, what nodes logged, and the verdict
    replay --seed N      the same with every event, and the digest of them all
    swarm --seeds A..B   many runs; stops at the first broken invariant and names the command that replays it
    shrink --seed N      fewer faults that still break what seed N breaks

Status 0: everything held. 1: something broke. 2: the words were not understood.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace

from cluster.safeguards import Safeguards
from sim.rules.faults import KINDS
from sim.rules.swarm import DURATION_MS, Scenario, Verdict, run, shrink
from sim.workers import Workers

_RULES = [field.name for field in fields(Safeguards)]


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    try:
        options = _parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    scenario = Scenario(
        getattr(options, "seed", 0),
        masters=options.masters,
        replicas=options.replicas,
        node_timeout_ms=options.node_timeout,
        kinds=options.faults,
        duration_ms=options.duration * 1000,
        guards=replace(Safeguards(), **dict.fromkeys(options.without, False)),
    )
    match options.command:
        case "run":
            return _show(run(scenario))
        case "replay":
            verdict = run(scenario, keep_trace=True)
            _write(verdict.text)
            return _conclude(verdict)
        case "shrink":
            return _shrink(scenario)
        case _:
            return _swarm(scenario, options.seeds, options.jobs, _same_options(argv))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shardlab sim rules", description="The cluster's rules in virtual time.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("run", "one run, as people read it"),
        ("replay", "one run, every event"),
        ("swarm", "many runs, until something breaks"),
        ("shrink", "fewer faults that break the same"),
    ):
        command = commands.add_parser(name, help=text)
        if name == "swarm":
            command.add_argument("--seeds", type=_seeds, required=True, metavar="A..B", help="both included")
            command.add_argument("--jobs", type=int, default=1, help="processes")
        else:
            command.add_argument("--seed", type=int, required=True)
        command.add_argument("--masters", type=int, help="drawn from the seed otherwise, as the next two")
        command.add_argument("--replicas", type=int, help="of each master")
        command.add_argument("--node-timeout", type=int, metavar="MS")
        command.add_argument("--faults", type=_kinds, default=tuple(KINDS), metavar="KIND,…", help=", ".join(KINDS))
        command.add_argument("--duration", type=float, default=DURATION_MS / 1000, metavar="SECONDS")
        removed = "take a safeguard away: " + ", ".join(_RULES)
        command.add_argument("--without", action="append", default=[], choices=_RULES, metavar="RULE", help=removed)
    return parser


def _seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    return range(int(first), int(last if dots else first) + 1)


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    if any(kind not in KINDS for kind in kinds):
        raise argparse.ArgumentTypeError(f"faults are {', '.join(KINDS)}")
    return kinds


def _same_options(argv: Sequence[str]) -> str:
    """What a replay has to repeat of a swarm's command line."""
    kept: list[str] = []
    words = iter(argv[1:])
    for word in words:
        name = word.partition("=")[0]
        if name in ("--seeds", "--jobs"):
            if name == word:
                next(words)
        else:
            kept.append(word)
    return "".join(f" {word}" for word in kept)


def _show(verdict: Verdict) -> int:
    _write(f"planned: {fault}\n" for fault in verdict.faults)
    _write(verdict.timeline)
    return _conclude(verdict)


def _conclude(verdict: Verdict) -> int:
    struck, judged = _counts(verdict.struck), _counts(verdict.judged)
    _write([f"struck: {struck}\njudged: {judged}\ntrace {verdict.digest}\n"])
    if verdict.held:
        _write([f"held; healed {verdict.healed_after_ms or 0:.0f} ms after the last fault\n"])
        return 0
    _write([f"BROKEN {verdict.rule}: {verdict.detail}\n"])
    return 1


def _shrink(scenario: Scenario) -> int:
    verdict = run(scenario)
    if verdict.held:
        _write([f"seed {scenario.seed} breaks nothing\n"])
        return 0
    before = len(verdict.faults)
    _, verdict = shrink(scenario, verdict)
    _write([f"{len(verdict.faults)} of {before} faults are enough\n"])
    return _show(verdict)


def _swarm(scenario: Scenario, seeds: range, jobs: int, options: str) -> int:
    struck: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    virtual_ms = 0.0
    for done, verdict in enumerate(_runs((replace(scenario, seed=seed) for seed in seeds), jobs), 1):
        struck += verdict.struck
        judged += verdict.judged
        virtual_ms += verdict.virtual_ms
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done}/{len(seeds)} seeds, {sum(struck.values())} faults")
        if not verdict.held:
            _write([f"\nseed {verdict.seed}: BROKEN {verdict.rule}: {verdict.detail}\n"])
            _write([f"replay it with: shardlab sim rules replay --seed {verdict.seed}{options}\n"])
            return 1
    _write([f"\n{len(seeds)} seeds, {virtual_ms / 1000:.0f} virtual seconds: everything held\n"])
    _write([f"struck: {_counts(struck)}\njudged: {_counts(judged)}\n"])
    if not struck or not judged:
        _write(["nothing struck, or nothing was judged: that shows nothing\n"])
        return 1
    return 0


def _runs(scenarios: Iterator[Scenario], jobs: int) -> Iterator[Verdict]:
    """The verdicts in order of the seeds, whatever process they come from."""
    if jobs <= 1:
        yield from map(run, scenarios)
        return
    begun: deque[int] = deque()
    ended: dict[int, Verdict] = {}
    with Workers(jobs, run) as workers:
        while True:
            for worker, scenario in zip(workers.idle(), scenarios, strict=False):
                worker.begin(scenario)
                begun.append(scenario.seed)
            if not workers.busy():
                return
            ended.update((verdict.seed, verdict) for verdict in workers.verdicts(None))
            while begun and begun[0] in ended:
                yield ended.pop(begun.popleft())


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items())) or "nothing"


def _write(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line)
    sys.stdout.flush()
