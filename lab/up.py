"""Bringing a lab up, keeping it in the foreground, and taking it down.

Either all of it runs or none of it: whatever ends `up` before it has said ready, an error, a signal, a
process that dies at its start, also ends everything that it had started. `lab.json` is written after each
single start, so that `down` finds all of it even when `up` itself was killed.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

from lab import configs, engines, ports
from lab.authority import Certificates
from lab.drivers import process
from lab.drivers.nursery import Nursery
from lab.drivers.process import Life
from lab.errors import LabError
from lab.lab_file import FILE_NAME, Entry, Lab, changing, load, make_folder
from lab.observe import observe
from lab.readiness import missing
from lab.topology import Topology, seats

# How long processes may take to end by themselves. A master waits for its replicas and saves its data first.
STOP_TIMEOUT = 10.0
# Between two looks at processes that are not ready yet.
_POLL = 0.05
# Where a lab is kept unless told otherwise.
DEFAULT_FOLDER = Path(".shardlab")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):  # noqa: N818 - not an error: the user has had enough
    """A signal asked `up` to end."""


async def bring_up(topology: Topology, folder: Path, *, fresh: bool, timeout: float) -> Lab:
    """Start every process and return when the lab is ready; raises LabError, and then nothing is left running."""
    with changing(folder):
        lab = _prepare(topology, folder, fresh=fresh)
        try:
            ours = any(engines.shardlab_argv(entry.command) for entry in lab.processes)
            with Nursery() if ours else nullcontext() as nursery:
                for entry in lab.processes:
                    launch(entry, lab, folder, nursery)
            await wait_ready(lab, timeout=timeout)
        except BaseException:
            take_down(lab, folder)
            raise
    return lab


def _prepare(topology: Topology, folder: Path, *, fresh: bool) -> Lab:
    """A lab that can be started: a new one, or the one that ran in the folder before, with its data."""
    lab = load(folder)
    places = seats(topology)
    if lab is not None:
        alive = lab.alive()
        if alive:
            raise LabError(
                f"a lab is running in {folder} already ({len(alive)} processes); "
                f"stop it with: shardlab down --dir {folder}"
            )
        if fresh:
            for entry in lab.processes:
                shutil.rmtree(entry.folder, ignore_errors=True)
        elif lab.topology != topology:
            raise LabError(
                f"{folder} has the data of a lab of another shape; use --fresh to throw it away, or another --dir"
            )
    elif not fresh and (folder / places[0].name).exists():
        raise LabError(
            f"{folder} has a {places[0].name} but no {FILE_NAME}; use --fresh to overwrite it, or another --dir"
        )
    in_the_way = ports.taken(places)
    if in_the_way:
        more = f"; and {len(in_the_way) - 2} more" if len(in_the_way) > 2 else ""
        raise LabError("; ".join(in_the_way[:2]) + more)
    if lab is None or fresh:
        home = folder.resolve()
        if fresh:
            shutil.rmtree(home / "tls", ignore_errors=True)
        certs = configs.certificates_of(topology, home)
        lab = Lab(
            topology=topology,
            processes=[
                Entry.of(
                    place,
                    home / place.name,
                    engines.command(topology, place, places, certs),
                    None if certs is None else certs.folder,
                )
                for place in places
            ],
        )
        configs.write(topology, folder)
        # From here on the next `up` goes on with these files, should this one be killed before it has started anything.
        lab.save(folder)
    return lab


def launch(entry: Entry, lab: Lab, folder: Path, nursery: Nursery | None = None) -> None:
    """Start one process, in a nursery if it can be done there, and note it in lab.json; raises LabError."""
    argv = engines.shardlab_argv(entry.command)

    def note(pid: int) -> None:
        entry.identity = process.identify(pid)
        lab.save(folder)

    try:
        if nursery is None or argv is None:
            entry.identity = process.start(entry.command, entry.folder, entry.log)
            lab.save(folder)
        else:
            nursery.start(argv, entry.folder, entry.log, note)
    except OSError as error:
        raise LabError(f"cannot start {entry.name} ({entry.command[0]}): {error.strerror}") from None


async def wait_ready(lab: Lab, *, timeout: float) -> None:
    """Return once nothing is missing; raises LabError when a process dies or time runs out."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        faults = missing(await observe(lab))
        if not faults:
            return
        for entry in lab.processes:
            if entry.life is Life.DEAD:
                raise LabError(f"{entry.name} ended right after its start: {last_words(entry)}")
        if loop.time() > deadline:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise LabError(f"not ready after {timeout:g} s: {faults[0]}{more}")
        await asyncio.sleep(_POLL)


def last_words(entry: Entry) -> str:
    """The last line of a process' log: where it says why it could not go on."""
    lines = entry.log.read_text(encoding="utf-8", errors="replace").splitlines() if entry.log.exists() else []
    # Not the frame around a bug report, but what is in it.
    spoken = [line.strip() for line in lines if line.strip() and not line.endswith("===")]
    return f"{spoken[-1]} ({entry.log})" if spoken else f"it said nothing ({entry.log})"


def take_down(lab: Lab, folder: Path) -> list[str]:
    """End every process of the lab; returns the names of those that had to be killed."""
    running = {entry.identity: entry.name for entry in lab.processes if entry.identity}
    killed = process.stop(list(running), timeout=STOP_TIMEOUT)
    for entry in lab.processes:
        entry.pid = entry.pid_started = None
    lab.save(folder)
    return [running[identity] for identity in killed]


@asynccontextmanager
async def interruptible() -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, instead of what they do otherwise."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def up(
    topology: Topology,
    folder: Path,
    *,
    fresh: bool,
    detach: bool,
    timeout: float,
    say: Callable[[str], None],
) -> int:
    """The command `up`: returns its exit status once the lab is detached, or has been stopped."""
    loop = asyncio.get_running_loop()
    async with interruptible() as interrupt:
        make_folder(folder)
        starting = loop.create_task(bring_up(topology, folder, fresh=fresh, timeout=timeout))
        waiting = loop.create_task(interrupt.wait())
        await asyncio.wait([starting, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if interrupt.is_set():
            starting.cancel()
            await asyncio.wait([starting])
            say("stopped")
            return 130
        lab = await starting
        try:
            say(_greeting(lab, folder, process.age()))
            if not detach:
                from lab.watch import watch

                await watch(folder, interrupt, say)
        finally:
            if not detach:
                _leave(lab, folder, say)
    return 0


def _leave(lab: Lab, folder: Path, say: Callable[[str], None]) -> None:
    """End the lab that was in the foreground, whatever other commands have done to it since."""
    try:
        with changing(folder, wait=True):
            lab = load(folder) or lab
            if lab.alive():
                say("stopping ...")
                take_down(lab, folder)
    except LabError:
        # The folder has been removed, or its file damaged, under us. What we started must not outlive us all the same.
        process.stop([entry.identity for entry in lab.alive() if entry.identity], timeout=STOP_TIMEOUT)


def _greeting(lab: Lab, folder: Path, seconds: float) -> str:
    host = lab.topology.host
    cli = "redis-cli"
    if lab.topology.tls:
        certs = Certificates(folder / "tls")
        cli += f" --tls --cacert {certs.ca_cert} --cert {certs.cert} --key {certs.key}"
    hints = [(f"{cli} -c -h {host} -p {lab.topology.port_base}", "a client that follows the cluster's redirections")]
    if lab.topology.proxy:
        hints.append((f"{cli} -h {host} -p {lab.find('proxy').port}", "the proxy: the whole cluster as one Redis"))
    where = "" if folder == DEFAULT_FOLDER else f" --dir {folder}"
    hints.append((f"shardlab kill node-0{where}", "and see what happens"))
    width = max(len(command) for command, _ in hints)
    lines = [f"  {command:{width}}   {meaning}" for command, meaning in hints]
    return "\n".join([f"ready in {seconds:.2f} s: {len(lab.processes)} processes in {folder}", *lines])
