"""The short commands: kill, pause, resume, restart, status, down. Each says in one line what it did."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lab import ports
from lab.drivers import process
from lab.drivers.process import Identity, Life
from lab.errors import LabError
from lab.lab_file import Entry, Lab, changing, load_existing
from lab.observe import observe, observe_one
from lab.readiness import missing
from lab.topology import Seat
from lab.up import STOP_TIMEOUT, last_words, launch, take_down


def kill(folder: Path, name: str) -> str:
    """SIGKILL: the process has no time to say good-bye."""
    entry, identity = _living(folder, name)
    process.kill(identity)
    return f"{entry.name} (pid {identity.pid}) is dead"


def pause(folder: Path, name: str) -> str:
    """SIGSTOP: the process stands still; its connections stay open and silent."""
    entry, identity = _living(folder, name)
    if entry.life is Life.PAUSED:
        raise LabError(f"{name} is paused already")
    process.pause(identity)
    return f"{entry.name} (pid {identity.pid}) is paused"


def resume(folder: Path, name: str) -> str:
    """SIGCONT: the process goes on where it stood, late."""
    entry, identity = _living(folder, name)
    if entry.life is not Life.PAUSED:
        raise LabError(f"{name} is not paused")
    process.resume(identity)
    return f"{entry.name} (pid {identity.pid}) goes on"


def _living(folder: Path, name: str) -> tuple[Entry, Identity]:
    entry = load_existing(folder).find(name)
    identity = entry.identity
    if identity is None or entry.life is Life.DEAD:
        raise LabError(f"{name} is not running")
    return entry, identity


def restart(folder: Path, name: str, *, timeout: float) -> str:
    """End the process if it runs, start it again, and wait until it answers."""
    with changing(folder):
        lab = load_existing(folder)
        entry = lab.find(name)
        if entry.identity is not None:
            process.stop([entry.identity], timeout=STOP_TIMEOUT)
        seat = Seat(name=entry.name, role=entry.role, host=entry.host, port=entry.port, bus_port=entry.bus_port)
        in_the_way = ports.taken([seat])
        if in_the_way:
            raise LabError("; ".join(in_the_way))
        launch(entry, lab, folder)
    asyncio.run(_wait_answer(entry, timeout))
    return f"{entry.name} runs again (pid {entry.pid})"


async def _wait_answer(entry: Entry, timeout: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while (seen := await observe_one(entry)).silence:
        if loop.time() > deadline:
            raise LabError(f"{entry.name} does not answer after {timeout:g} s: {seen.silence}")
        await asyncio.sleep(0.02)
    if seen.life is Life.DEAD:
        raise LabError(f"{entry.name} ended right after its start: {last_words(entry)}")


def status(folder: Path) -> None:
    """Print the table once, and what is missing, if anything is."""
    from rich.console import Console

    from lab.table import table

    lab = load_existing(folder)
    observations = asyncio.run(observe(lab, timeout=1.0))
    console = Console(highlight=False)
    if not console.is_terminal:
        # Piped to a program: no column may be cut to fit a screen that is not there.
        console.width = 200
    console.print(table(lab, observations, console.width))
    faults = missing(observations)
    console.print("\n".join(f"not ready: {fault}" for fault in faults) if faults else "ready", soft_wrap=True)


def down(folder: Path) -> str:
    """End every process of the lab; its files stay."""
    with changing(folder):
        lab: Lab = load_existing(folder)
        alive = lab.alive()
        killed = take_down(lab, folder)
    if not alive:
        return "nothing was running"
    stubborn = f"; killed because they did not end in {STOP_TIMEOUT:g} s: {', '.join(killed)}" if killed else ""
    return f"stopped {len(alive)} process{'es' if len(alive) > 1 else ''}{stubborn}"
