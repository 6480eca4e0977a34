"""A scenario's runs for people: one timeline as lines, two as a table, the verdict, the list of what there is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.chaos.events import NEMESIS, Event, Kind
from lab.chaos.outcome import Outcome
from lab.chaos.scenario import Scenario
from lab.chaos.timeline import align, alone, timeline
from lab.check.availability import timeline as service_line
from lab.check.verdict import Judgement
from lab.faults import World, faults
from lab.history import Outcome as Answer

# Where a run takes place, in words.
IN = {World.SIM: "in the simulator", World.PROCESSES: "on real processes"}
# What makes a reader stop.
_STYLES = {
    Kind.STRUCK: "bold red",
    Kind.MENDED: "green",
    Kind.PROMOTED: "bold",
    Kind.WRITES: "bold green",
    Kind.ERRORS: "yellow",
    Kind.ERRORS_END: "yellow",
}
# Failures shown of one run; the rest is counted.
_SHOWN_MAX = 10


def console() -> Console:
    """Where it is written: the screen, or a pipe, in which no line may be cut to fit a screen that is not there."""
    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = 160
    return found


def _print(screen: Console, table: Table) -> None:
    """A table; in a pipe without the blanks that fill its last column."""
    if screen.is_terminal:
        screen.print(table)
        return
    with screen.capture() as capture:
        screen.print(table)
    for line in capture.get().splitlines():
        screen.print(Text(line.rstrip()), soft_wrap=True)


def one(screen: Console, outcome: Outcome) -> None:
    """One run: its timeline and its verdict."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("who", no_wrap=True)
    table.add_column("what")
    for event in timeline(outcome.recording):
        between = ": " if event.kind in (Kind.ERRORS, Kind.ERRORS_END) else " "
        what = between.join(part for part in (event.text, event.detail) if part)
        table.add_row(
            f"{event.at:.3f}", "" if event.who == NEMESIS else event.who, Text(what, style=_STYLES.get(event.kind, ""))
        )
    _print(screen, table)
    verdict(screen, outcome)


def both(screen: Console, left: Outcome, right: Outcome) -> None:
    """Two runs of one scenario: their timelines side by side, and both verdicts."""
    rows = align(timeline(left.recording), timeline(right.recording))
    table = Table(box=None, pad_edge=False, header_style="bold")
    # On a narrow screen these wrap: nothing may be cut off.
    table.add_column("event")
    for outcome in (left, right):
        table.add_column(str(outcome.recording.world), justify="right", no_wrap=True)
        table.add_column("who")
    table.add_column("later", justify="right", no_wrap=True)
    for row in rows:
        event = row.left or row.right
        assert event is not None
        cells = [*_cells(row.left), *_cells(row.right)]
        difference = "" if row.difference_s is None else f"{row.difference_s * 1000:+.0f} ms"
        table.add_row(Text(row.text, style=_STYLES.get(event.kind, "")), *cells, difference)
    _print(screen, table)
    lonely = alone(rows)
    worlds = f"{left.recording.world} and {right.recording.world}"
    screen.print(
        f"{len(rows)} events; {len(rows) - lonely} in both {worlds}, {lonely} in one. "
        f"'later' is how much later on {right.recording.world}.",
        soft_wrap=True,
    )
    for outcome in (left, right):
        verdict(screen, outcome)


def _cells(event: Event | None) -> tuple[str, str]:
    """When, and whatever is particular to the run."""
    if event is None:
        return "-", ""
    # What a client was told is long, and differs in addresses only.
    detail = "" if event.kind is Kind.ERRORS else event.detail
    return f"{event.at:.3f}", " ".join(part for part in (_who(event), detail) if part)


def _who(event: Event) -> str:
    """Who said so, unless that says nothing new."""
    return "" if event.who in (NEMESIS, event.subject) else event.who


def verdict(screen: Console, outcome: Outcome) -> None:
    """What was measured, and whether it is what was expected."""
    recording, judgement = outcome.recording, outcome.judgement
    screen.print()
    screen.print(Text(f"{IN[recording.world]}, seed {recording.seed}", style="bold"))
    for line in _counts(outcome, judgement):
        screen.print(line, soft_wrap=True)
    for expectation in outcome.expectations:
        style, word = ("green", "met") if expectation.met else ("bold red", "NOT MET")
        screen.print(
            Text(f"  {word:7} ", style=style) + Text(f" {expectation.text}: {expectation.found}"), soft_wrap=True
        )
    for failure in outcome.failures[:_SHOWN_MAX]:
        screen.print(Text(f"  FAILURE {failure}", style="red"), soft_wrap=True)
    if len(outcome.failures) > _SHOWN_MAX:
        screen.print(f"  FAILURE and {len(outcome.failures) - _SHOWN_MAX} more")
    if recording.folder is not None and not outcome.good:
        screen.print(f"  what the processes said is in {recording.folder}", soft_wrap=True)
    screen.print(Text("GOOD", style="bold green") if outcome.good else Text("NOT GOOD", style="bold red"))


def _counts(outcome: Outcome, judgement: Judgement) -> Sequence[str]:
    answers, stale = judgement.operations, judgement.stale
    oldest = f", the oldest by {stale.age_max_s() * 1000:.0f} ms" if stale.stale else ""
    lines = [
        f"  faults struck: {outcome.recording.struck}; failovers: {judgement.failovers}; operations judged: "
        f"{judgement.judged} ({answers[Answer.OK]} acknowledged, {answers[Answer.UNKNOWN]} unknown); "
        f"refused: {answers[Answer.FAIL]}",
        f"  lost: {len(judgement.lost.losses)} of {judgement.lost.judged} acknowledged writes; "
        f"stale: {len(stale.stale)} of {stale.reads} reads{oldest}",
    ]
    for service in judgement.service:
        gap = f"longest without service {service.longest_s:.3f} s" if service.windows else "no interruption"
        lines.append(f"  {service.group} {service_line(outcome.recording.history, service.group, 60)} {gap}")
    return lines


def scenarios(screen: Console, known: Sequence[Scenario]) -> None:
    """The scenarios that come with the project, and the faults that a file may ask for, with where each can be."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("scenario", "worlds", "what happens"):
        table.add_column(column, no_wrap=column != "what happens")
    for scenario in known:
        table.add_row(scenario.name, _worlds(scenario.worlds), scenario.summary)
    _print(screen, table)
    screen.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("fault", "worlds", "what it is"):
        table.add_column(column, no_wrap=column != "what it is")
    for kind, fault in faults().items():
        table.add_row(kind.value, _worlds(fault.drivers), fault.what)
    _print(screen, table)


def _worlds(worlds: Sequence[World]) -> str:
    return "sim, processes" if len(worlds) == len(World) else ", ".join(worlds)
