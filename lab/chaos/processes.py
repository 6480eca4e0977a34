"""Real processes of this machine as a stage: a lab of its own, struck by signals, its log files read as they grow.

The clients run in this very process. Log lines carry the machine's wall clock in milliseconds; it is set against the
loop's clock once, at the beginning.
"""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

from lab import ports
from lab.chaos.events import NEMESIS, Line
from lab.chaos.log_files import LogFiles
from lab.chaos.perform import perform
from lab.chaos.roster import own_id
from lab.chaos.scenario import Scenario
from lab.chaos.stage import Program, Recording
from lab.configs import certificates_of
from lab.drivers import process
from lab.drivers.nursery import Nursery
from lab.drivers.process import Life
from lab.engines import SENTINEL_CONF
from lab.errors import LabError
from lab.faults import World
from lab.lab_file import Entry, Lab, make_folder
from lab.observe import observe
from lab.readiness import unwell
from lab.topology import Role, Topology, seats
from lab.up import STOP_TIMEOUT, bring_up, interruptible, last_words, launch, take_down
from runtime.runtime import system_runtime
from sim.faults import Kind, Strike

# Where a port base is looked for unless one is given: away from where `shardlab up` starts, and below the range from
# which the kernel takes ports for outgoing connections.
_BASES = range(18_000, 22_200, 300)
_READY_WITHIN_S = 60.0


def run(scenario: Scenario, seed: int, folder: Path, port_base: int | None = None, *, tls: bool = False) -> Recording:
    """Perform the scenario on processes that are started for it, in `folder`, and stopped afterwards; raises LabError
    when they cannot be started, and KeyboardInterrupt when a signal ends the run."""
    recording = Recording(World.PROCESSES, seed, folder=folder)
    base = _free_base(scenario) if port_base is None else port_base
    topology = scenario.cluster.topology(base).model_copy(update={"tls": tls})
    asyncio.run(_run(scenario, recording, folder, topology))
    return recording


def _free_base(scenario: Scenario) -> int:
    for base in _BASES:
        if not ports.taken(seats(scenario.cluster.topology(base))):
            return base
    raise LabError("no free ports found; name some with --port-base")


async def _run(scenario: Scenario, recording: Recording, folder: Path, topology: Topology) -> None:
    async with interruptible() as interrupt:
        performing = asyncio.get_running_loop().create_task(_perform(scenario, recording, folder, topology))
        waiting = asyncio.get_running_loop().create_task(interrupt.wait())
        await asyncio.wait([performing, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if interrupt.is_set():
            performing.cancel()
            await asyncio.wait([performing])
            raise KeyboardInterrupt
        await performing


async def _perform(scenario: Scenario, recording: Recording, folder: Path, topology: Topology) -> None:
    make_folder(folder)
    # It loads the programs while the lab starts, and what is started again later is forked from it: the time that a
    # node takes to load would tell of Python and not of the cluster.
    with Nursery() as nursery:
        lab = await bring_up(topology, folder, fresh=True, timeout=_READY_WITHIN_S)
        stage = _ProcessStage(lab, folder, nursery)
        try:
            await perform(scenario, stage, recording)
        finally:
            await stage.close()
            take_down(lab, folder)


class _ProcessStage:
    """A lab that is up, as `lab.chaos.stage.Stage` has it."""

    def __init__(self, lab: Lab, folder: Path, nursery: Nursery) -> None:
        self._lab = lab
        self._folder = folder
        self._nursery = nursery
        self._logs = LogFiles({entry.name: entry.log for entry in lab.processes})
        self._loop = asyncio.get_running_loop()
        # The loop's and the wall clock's time when the clients began.
        self._began_at = 0.0
        self._began_wall_s = 0.0
        # What the nemesis has said since the last look.
        self._said: list[Line] = []
        # The strikes that are on, by number; and the seats that may be dead: struck, or asked to end.
        self._on: dict[int, Strike] = {}
        self._down: dict[str, None] = {}
        self._found_dead: dict[str, str] = {}
        self._runtime = system_runtime()
        certs = certificates_of(lab.topology, folder)
        self.tls = None if certs is None else certs.context()
        self._clients: list[asyncio.Task[None]] = []
        self.names: dict[str, str] = {}
        for entry in lab.processes:
            self.names[f"{entry.host} {entry.port}"] = entry.name
            file = "nodes.conf" if entry.role is Role.NODE else SENTINEL_CONF
            self.names[own_id((entry.folder / file).read_text(encoding="utf-8"))] = entry.name

    def now(self) -> float:
        return self._loop.time()

    def begin(self) -> None:
        self._began_at = self._loop.time()
        self._began_wall_s = time.time()
        self._logs.skip()

    def lines(self) -> list[Line]:
        self._look_for_dead()
        said, self._said = self._said, []
        said += (Line(at - self._began_wall_s, who, text) for at, who, text in self._logs.new_lines())
        return sorted(said, key=lambda line: line.at)

    def strike(self, strike: Strike) -> bool:
        (seat,) = strike.targets
        entry = self._lab.find(seat)
        if entry.identity is None:
            return False
        at = self._loop.time() - self._began_at
        match strike.kind:
            case Kind.KILL:
                self._down[seat] = None
                struck = process.kill(entry.identity)
            case Kind.STOP:
                self._down[seat] = None
                struck = process.send(entry.identity, signal.SIGTERM)
            case Kind.PAUSE:
                struck = process.pause(entry.identity)
            case _:
                raise AssertionError(f"nobody asks this driver for a {strike.kind}")
        if struck:
            self._on[strike.number] = strike
            self._said.append(Line(at, NEMESIS, f"strikes {strike}"))
        return struck

    def mend(self, strike: Strike) -> bool:
        if self._on.pop(strike.number, None) is None:
            return False
        at = self._loop.time() - self._began_at
        self._said.append(Line(at, NEMESIS, f"mends #{strike.number} {strike.kind}"))
        (seat,) = strike.targets
        entry = self._lab.find(seat)
        if strike.kind is Kind.PAUSE:
            if entry.identity is not None:
                process.resume(entry.identity)
        elif not any(other.targets == (seat,) and other.kind is not Kind.PAUSE for other in self._on.values()):
            self._start_again(entry)
        return True

    def _start_again(self, entry: Entry) -> None:
        if entry.identity is not None and entry.life is not Life.DEAD:
            # It was asked to end, and has not come to it.
            process.stop([entry.identity], timeout=STOP_TIMEOUT)
        launch(entry, self._lab, self._folder, self._nursery)
        del self._down[entry.name]

    def mend_all(self) -> None:
        for strike in list(self._on.values()):
            self.mend(strike)

    def start_client(self, number: int, program: Program) -> None:
        nodes = [entry.address for entry in self._lab.nodes()]
        self._clients.append(self._loop.create_task(program(self._runtime, nodes), name=f"client-{number}"))

    async def clients_ended(self) -> None:
        await asyncio.gather(*self._clients)

    async def close(self) -> None:
        """End clients that are still at work."""
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def missing(self) -> list[str]:
        return unwell(await observe(self._lab))

    def _look_for_dead(self) -> None:
        for entry in self._lab.processes:
            if entry.name not in self._down and entry.name not in self._found_dead and entry.life is Life.DEAD:
                self._found_dead[entry.name] = f"{entry.name} ended by itself: {last_words(entry)}"

    def troubles(self) -> list[str]:
        return list(self._found_dead.values())
