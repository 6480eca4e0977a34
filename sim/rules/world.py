"""A cluster in virtual time: hosts, the network between them, and what can happen to them.

    world = World(seed=1, shape=Shape(masters=3, replicas=1))
    world.kill(world["m0"])
    world.run(5000)

Equal seeds give equal runs, to the last line of the trace. Faults are methods here; when they strike is `faults`'
business, and what must hold meanwhile is `invariants`'.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from cluster import nodes_conf
from cluster.events import Command, Refused, Tick
from cluster.numbers import Numbers
from cluster.safeguards import Safeguards
from cluster.settings import ClusterSettings
from sim.rules.agenda import Agenda
from sim.rules.forming import Shape, connect, tables
from sim.rules.host import ConfFile, Host, Watcher
from sim.rules.network import Direction, Network, Weather
from sim.rules.replication import Replication
from sim.trace import Trace

# Redis' cron starts with the process; so the ticks of nodes are spread over its period.
_SPREAD_MS = 100.0


class World:
    """All of one simulation."""

    def __init__(
        self,
        seed: int | str,
        shape: Shape,
        *,
        guards: Safeguards | None = None,
        weather: Weather | None = None,
        lasting: bool = True,
        keep_trace: bool = False,
        **settings: Any,
    ) -> None:
        """`lasting`: nodes have disks, and masters data; without, nobody can be restarted, and all is faster.

        `settings` are those of ClusterSettings.
        """
        self.shape = shape
        self.agenda = Agenda()
        self.trace = Trace(lambda: self.agenda.now / 1000, keep=keep_trace)
        self.network = Network(self.agenda, weather or Weather())
        self.replication = Replication(self.agenda, self.network, seed) if lasting else None
        self._chance = Random(f"{seed} world")
        self.hosts: list[Host] = []
        self._by_name: dict[str, Host] = {}
        for index in range(shape.nodes):
            ip = f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}"
            chosen = ClusterSettings(port=7000, bus_port=17000, announce_ip=ip, **settings)
            host = Host(
                shape.name(index), index, seed, chosen, guards or Safeguards(), self.agenda, self.network, self.trace
            )
            self.hosts.append(host)
            self._by_name[host.name] = host
            self.network.attach(host)
            if self.replication is not None:
                self.replication.attach(host)
        self._start()

    def _start(self) -> None:
        # Large clusters have no disks; their tables then have one order, and share what is looked up.
        numbers = Numbers() if self.replication is None else None
        states = [tables(self.shape, self.hosts, index, self.now, numbers) for index in range(len(self.hosts))]
        connect(self.hosts, self.network)
        for host, state in zip(self.hosts, states, strict=True):
            # What comes before a node's first step waits for it.
            host.powered = host.alive = host.paused = True
            if self.replication is not None:
                host.conf = ConfFile(nodes_conf.render(state))
            self.agenda.at(self._chance.random() * _SPREAD_MS, host.start, state)
        if self.replication is not None:
            self.agenda.at(0.0, self.replication.beat)
        self.run(_SPREAD_MS)

    def __getitem__(self, name: str) -> Host:
        return self._by_name[name]

    # --- time

    @property
    def now(self) -> float:
        return self.agenda.now

    def run(self, duration_ms: float) -> None:
        self.agenda.run_until(self.now + duration_ms)

    def run_until(self, condition: Callable[[], bool], limit_ms: float, step_ms: float = 10.0) -> float | None:
        """Run until the condition holds; returns how long that took, None when it did not within the limit."""
        start = self.now
        while not condition():
            if self.now - start >= limit_ms:
                return None
            self.run(step_ms)
        return self.now - start

    # --- looking

    def watch(self, watcher: Watcher) -> None:
        """Have somebody look on."""
        for host in self.hosts:
            host.watchers.append(watcher)

    def by_id(self, node_id: str) -> Host:
        return next(host for host in self.hosts if host.node_id == node_id)

    # --- what people and fate do

    def order(self, host: Host, command: Command) -> str | None:
        """An operator's command; None when it was refused, or nobody was there to hear it."""
        if not host.running:
            return None
        self._fate(host, f"order {command}")
        try:
            return host.order(command)
        except Refused as refusal:
            self._fate(host, refusal.text)
            return None

    def kill(self, host: Host) -> None:
        """SIGKILL: the page cache survives, and peers see the links end."""
        if host.alive:
            self._fate(host, "killed")
            self._die(host)
            self.network.hang_up(host)

    def power_off(self, host: Host) -> None:
        """The power fails: what was not synced is lost, and nobody says goodbye."""
        if host.powered:
            self._fate(host, "lost power")
            self._die(host)
            host.powered = False
            self.network.go_silent(host)
            if host.conf is not None:
                host.conf.lose_power()

    def _die(self, host: Host) -> None:
        host.alive = host.paused = False
        host.waiting.clear()
        host.dies_after = None

    def restart(self, host: Host) -> None:
        """Start a dead process from its disk."""
        if host.alive:
            return
        assert host.conf is not None, "a node without disk does not come back"
        self._fate(host, "started")
        host.following = None
        host.writes_paused = False
        host.start(nodes_conf.parse(host.conf.cached, self.now))

    def pause(self, host: Host) -> None:
        """SIGSTOP: its kernel goes on taking things in."""
        if host.running:
            self._fate(host, "paused")
            host.paused = True

    def resume(self, host: Host) -> None:
        """SIGCONT. What waited is read in order; the late timer fires before it or after it."""
        if not host.paused:
            return
        self._fate(host, "resumed")
        host.paused = False
        waiting, host.waiting = host.waiting, []
        if self._chance.random() < 0.5:
            waiting.sort(key=lambda event: isinstance(event, Tick))
        for event in waiting:
            host.take(event)

    def cut(self, directions: list[Direction]) -> None:
        self.trace.tell("network", "cut " + self._names(directions))
        self.network.cut(directions)

    def heal(self, directions: list[Direction]) -> None:
        self.trace.tell("network", "heal " + self._names(directions))
        self.network.heal(directions)

    def slow(self, directions: list[Direction], latency_ms: float) -> None:
        self.trace.tell("network", f"latency +{latency_ms:.0f} ms {self._names(directions)}")
        self.network.slow(directions, latency_ms)

    def _names(self, directions: list[Direction]) -> str:
        return " ".join(f"{self.hosts[a].name}>{self.hosts[b].name}" for a, b in directions)

    def _fate(self, host: Host, what: str) -> None:
        self.trace.tell(host.name, f"* {what}")


def between(side: list[Host], other_side: list[Host], *, one_way: bool = False) -> list[Direction]:
    """The directions from one side to the other, and back unless `one_way`."""
    there = [(a.index, b.index) for a in side for b in other_side]
    return there if one_way else there + [(b, a) for a, b in there]
