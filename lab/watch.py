"""A lab in the foreground: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from lab.errors import LabError
from lab.lab_file import Lab, load
from lab.observe import Observation, observe

# Between two looks; the table is for people, who do not read faster.
PERIOD = 0.5


async def watch(folder: Path, interrupt: asyncio.Event, say: Callable[[str], None]) -> None:
    """Show the lab until `interrupt`, or until another command has taken it down."""
    if sys.stdout.isatty():
        await _show_table(folder, interrupt)
    else:
        await _tell_changes(folder, interrupt, say)


async def _show_table(folder: Path, interrupt: asyncio.Event) -> None:
    from rich.live import Live

    from lab.table import table

    with Live(auto_refresh=False) as live:
        while (lab := _running(folder)) is not None:
            live.update(table(lab, await observe(lab), live.console.width), refresh=True)
            if await _interrupted(interrupt):
                return


async def _tell_changes(folder: Path, interrupt: asyncio.Event, say: Callable[[str], None]) -> None:
    before: dict[str, str] = {}
    while (lab := _running(folder)) is not None:
        now = {seen.name: _condition(seen) for seen in await observe(lab)}
        for name, condition in now.items():
            if before and before[name] != condition:
                say(f"{name}: {condition}")
        before = now
        if await _interrupted(interrupt):
            return


def _condition(seen: Observation) -> str:
    return seen.state if seen.node is None else f"{seen.state}, {seen.node.role}"


def _running(folder: Path) -> Lab | None:
    """The lab as its file has it now; None when `down` has ended it or the file is gone. All dead is not ended."""
    try:
        lab = load(folder)
    except LabError:
        return None
    return lab if lab is not None and any(entry.pid for entry in lab.processes) else None


async def _interrupted(interrupt: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(PERIOD):
            await interrupt.wait()
    except TimeoutError:
        return False
    return True
