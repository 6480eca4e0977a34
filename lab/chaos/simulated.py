"""The simulator as a stage: every seat and every client is a host of its own, and the seed decides everything.

While the scenario is performed the simulator's invariants watch (`sim.invariants`); a rule that breaks, and a program
that fails, are the run's troubles.
"""

from __future__ import annotations

from lab.chaos.events import NEMESIS, Line
from lab.chaos.perform import perform
from lab.chaos.roster import own_id
from lab.chaos.scenario import Scenario
from lab.chaos.stage import Program, Recording
from lab.errors import LabError
from lab.faults import World
from sim import world as sim_world
from sim.cluster import SimCluster
from sim.errors import SimulationError
from sim.faults import Faults, Strike
from sim.host import Host
from sim.invariants import Watch
from sim.process import Process
from sim.shape import FOLDER, NODE_PORT, SENTINEL_CONF, SENTINEL_PORT

_START_WITHIN_S = 30.0
# Every key is read once more; where nobody serves one, that is tried for a while.
_END_WITHIN_S = 3600.0


def run(scenario: Scenario, seed: int) -> Recording:
    """Perform the scenario in a world of its own; raises LabError when its cluster does not start."""
    recording = Recording(World.SIM, seed)
    with sim_world.World(seed) as world:
        stage = _SimStage(world, scenario)
        try:
            world.run(stage.main(scenario, recording))
        except (SimulationError, TimeoutError) as error:
            recording.troubles.append(str(error))
    return recording


class _SimStage:
    """One world, as `lab.chaos.stage.Stage` has it."""

    # Nothing is encrypted there.
    tls = None

    def __init__(self, world: sim_world.World, scenario: Scenario) -> None:
        self._world = world
        self._cluster = SimCluster(world, scenario.cluster.shape())
        self._hosts: list[Host] = [world.add_host(f"client-{n}") for n in range(scenario.workload.clients)]
        self._clients: list[Process] = []
        self._faults = Faults(self._cluster)
        self._watch = Watch(self._cluster, self._faults)
        self._began_at = 0.0
        self._lines: list[Line] = []
        # What each program said last before the clients began: where it says why it could not start.
        self._last_words: dict[str, str] = {}
        world.trace.listen(self._told)
        self.names: dict[str, str] = {}
        for name, seat in self._cluster.seats.items():
            node = name.startswith("node")
            self.names[f"{seat.host.ip} {NODE_PORT if node else SENTINEL_PORT}"] = name
            file = seat.host.disk.content(f"{FOLDER}/nodes.conf" if node else SENTINEL_CONF)
            self.names[own_id(file.decode())] = name

    async def main(self, scenario: Scenario, recording: Recording) -> None:
        """From a cluster that is switched on to the end of the scenario."""
        self._cluster.start()
        try:
            await self._world.until(lambda: not self._cluster.faults(), _START_WITHIN_S, "the cluster does not start")
        except (SimulationError, TimeoutError) as error:
            raise LabError(self._why_not(str(error))) from None
        self._lines.clear()
        self._watch.start()
        await perform(scenario, self, recording)

    def now(self) -> float:
        return self._world.loop.now

    def begin(self) -> None:
        self._began_at = self.now()

    def _told(self, now: float, who: str, what: str) -> None:
        # A program's lines begin with the sign of their level; the rest is told by hosts and invariants.
        if who == NEMESIS or what[1:2] == " ":
            self._lines.append(Line(now - self._began_at, who, what))
            # Not the frame around a bug report, but what is in it.
            if not what.endswith("==="):
                self._last_words[who] = what

    def _why_not(self, failures: str) -> str:
        """Why the cluster did not start, in one line: the first failure, and what that program had to say."""
        first = failures.splitlines()[0]
        who = next((name for name in self._cluster.seats if f" {name} " in first), "")
        words = self._last_words.get(who, "")
        return f"in the simulator: {first}" + (f": {words[2:]}" if words else "")

    def lines(self) -> list[Line]:
        heard, self._lines = self._lines, []
        return heard

    def strike(self, strike: Strike) -> bool:
        before = self._faults.struck.total()
        self._faults.strike(strike)
        return self._faults.struck.total() > before

    def mend(self, strike: Strike) -> bool:
        on = strike in self._faults.active()
        self._faults.mend(strike.number)
        return on

    def mend_all(self) -> None:
        self._faults.mend_all()

    def start_client(self, number: int, program: Program) -> None:
        nodes = [(self._cluster.seats[name].host.ip, NODE_PORT) for name in self._cluster.shape.node_names()]

        async def main(process: Process) -> int:
            await program(self._world.runtime(process), nodes)
            return 0

        host = self._hosts[number]
        self._clients.append(host.start(host.name, main))

    async def clients_ended(self) -> None:
        await self._world.until(
            lambda: not any(client.alive for client in self._clients), _END_WITHIN_S, "the clients' last reads"
        )

    async def missing(self) -> list[str]:
        return self._cluster.faults()

    def troubles(self) -> list[str]:
        return [f"{breach.at_s - self._began_at:.3f} {breach.rule}: {breach.what}" for breach in self._watch.breaches]
