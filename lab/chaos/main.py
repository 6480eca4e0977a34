"""`shardlab chaos`: scenarios, in the simulator, on real processes, or both side by side.

    run FILE     perform a scenario: its timeline, and the verdict of the checkers
    list         the scenarios that come with the project, and the faults that a file may ask for

Status 0: every run was good. 1: one was not, or could not be performed. 2: the words or the file were not understood,
or ask for what that world cannot do.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.chaos.outcome import Outcome, conclude
from lab.chaos.scenario import Scenario, ScenarioError, load, shipped
from lab.chaos.stage import Recording
from lab.errors import LabError
from lab.faults import World

BOTH = "both"


def main(argv: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    try:
        options = _parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return _list() if options.command == "list" else _run(options)
    except ScenarioError as error:
        sys.stderr.write("".join(f"shardlab chaos: {line}\n" for line in str(error).splitlines()))
        return 2
    except LabError as error:
        sys.stderr.write(f"shardlab chaos: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shardlab chaos", description="Scenarios, in the simulator and on real processes."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="perform a scenario: its timeline, and the verdict of the checkers",
        description="Perform a scenario: its timeline, and the verdict of the checkers.",
        epilog="Status 0: every run was good. 1: one was not. 2: not understood, or not possible in that world.",
    )
    run.add_argument("file", metavar="FILE", help="a scenario file (TOML), or the name of one that `list` shows")
    run.add_argument(
        "--world",
        choices=(*World, BOTH),
        default=World.SIM.value,
        help="in the simulator (virtual time), on real processes of this machine, or both, side by side (sim)",
    )
    run.add_argument(
        "--seed", type=int, default=1, metavar="N", help="what clients ask for; in the simulator everything (1)"
    )
    run.add_argument("--json", type=Path, metavar="FILE", help="write timeline and verdict for programs, too")
    run.add_argument(
        "--history",
        type=Path,
        metavar="FILE",
        help="write what the clients saw, for `shardlab check` (FILE.WORLD if both)",
    )
    run.add_argument(
        "--dir", type=Path, metavar="DIR", help="keep the processes' logs and data there (else only if it was not good)"
    )
    run.add_argument(
        "--port-base", type=int, metavar="PORT", help="where the processes listen (the first free of some)"
    )
    run.add_argument(
        "--tls", action="store_true", help="real processes speak TLS on every port; the simulator has none (no)"
    )
    commands.add_parser(
        "list",
        help="the scenarios that come with the project, and the faults that a file may ask for",
        description="The scenarios that come with the project, and the faults that a file may ask for.",
    )
    return parser


def _list() -> int:
    from lab.chaos import show

    show.scenarios(show.console(), shipped())
    return 0


def _run(options: argparse.Namespace) -> int:
    from lab.chaos import show

    scenario = load(options.file)
    worlds = list(World) if options.world == BOTH else [World(options.world)]
    refusals = [refusal for world in worlds for refusal in scenario.refusals(world)]
    if options.tls and worlds == [World.SIM]:
        refusals.append("the simulator speaks no TLS; --world processes does")
    if refusals:
        raise ScenarioError("\n".join(f"{scenario.name}: {refusal}" for refusal in refusals))
    screen = show.console()
    screen.print(f"{scenario.name}: {scenario.summary}", soft_wrap=True)
    if scenario.lesson:
        screen.print(scenario.lesson.strip(), soft_wrap=True)
    screen.print()
    outcomes = [conclude(scenario, _perform(scenario, world, options)) for world in worlds]
    for outcome in outcomes:
        if outcome.recording.folder is not None and outcome.good:
            _throw_away(outcome.recording.folder, options)
    _write(options, scenario, outcomes)
    if len(outcomes) == 2:
        show.both(screen, *outcomes)
    else:
        show.one(screen, outcomes[0])
    return 0 if all(outcome.good for outcome in outcomes) else 1


def _perform(scenario: Scenario, world: World, options: argparse.Namespace) -> Recording:
    from lab.chaos import show

    if sys.stderr.isatty():
        # A person who waits wants to know for what; programs do not.
        seconds = "" if world is World.SIM else f", {scenario.duration:g} s and some more"
        sys.stderr.write(f"{show.IN[world]}{seconds} ...\n")
    if world is World.SIM:
        from lab.chaos import simulated

        return simulated.run(scenario, options.seed)
    from lab.chaos import processes

    folder = options.dir or Path(tempfile.mkdtemp(prefix="shardlab-chaos-"))
    try:
        return processes.run(scenario, options.seed, folder, options.port_base, tls=options.tls)
    except KeyboardInterrupt:
        _throw_away(folder, options)
        raise


def _throw_away(folder: Path, options: argparse.Namespace) -> None:
    """Nobody asked for the files of a real run, and nobody will want to see what went wrong."""
    if options.dir is None:
        shutil.rmtree(folder, ignore_errors=True)


def _write(options: argparse.Namespace, scenario: Scenario, outcomes: Sequence[Outcome]) -> None:
    """The files that were asked for; raises LabError."""
    from lab.chaos.report import report

    try:
        if options.json is not None:
            options.json.write_text(json.dumps(report(scenario, outcomes), indent=2) + "\n", encoding="utf-8")
        for outcome in outcomes if options.history is not None else ():
            path: Path = options.history
            if len(outcomes) > 1:
                path = path.with_name(f"{path.name}.{outcome.recording.world}")
            path.write_text(outcome.recording.history_text, encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot write {error.filename}: {error.strerror}") from None
