"""A whole cluster in one world: nodes, sentinels and a proxy, each on a host of its own, and what can be seen of it.

It starts and restarts the programs, and keeps hold of the node or sentinel of each live incarnation, so that invariants
can look inside without asking over the network, which would change what they look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.node import Node
from sentinel.sentinel import Sentinel
from sim.host import Host, Main
from sim.process import Process
from sim.programs import node_program, proxy_program, sentinel_program
from sim.shape import (
    FOLDER,
    NODE_CONF,
    NODE_PORT,
    PROXY_PORT,
    SENTINEL_CONF,
    Shape,
    node_conf,
    nodes_confs,
    sentinel_confs,
)
from sim.world import World

PROXY = "proxy"


@dataclass(slots=True, eq=False)
class Seat:
    """A host with one program on it."""

    name: str
    host: Host
    program: Main
    # The last incarnation, and what it is inside (of a node or sentinel).
    process: Process | None = None
    inside: Node | Sentinel | None = None
    # How much its disk had refused before that incarnation.
    refusals: int = 0
    # Every new incarnation is handed to the first before it begins, and then told to the second.
    on_birth: Callable[[Node | Sentinel], None] = lambda inside: None
    on_show: Callable[[str, Node | Sentinel], None] = lambda name, inside: None

    @property
    def ready(self) -> bool:
        """It has got so far as to be seen from inside; of a proxy nothing is seen."""
        return self.inside is not None or self.host.name == PROXY

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.alive

    @property
    def runs(self) -> bool:
        """It is alive and not stopped."""
        return self.alive and self.process is not None and not self.process.paused

    def start(self) -> None:
        assert not self.alive, f"{self.name} runs"
        self.inside = None
        self.refusals = self.host.disk.refusals
        self.process = self.host.start(self.name, self.program)

    def show(self, inside: Node | Sentinel) -> None:
        """A new incarnation has read its files, and begins."""
        self.on_birth(inside)
        self.inside = inside
        self.on_show(self.name, inside)


class SimCluster:
    """All seats of one cluster."""

    def __init__(self, world: World, shape: Shape) -> None:
        self.world = world
        self.shape = shape
        # By name, nodes first, in the order in which they are listed everywhere.
        self.seats: dict[str, Seat] = {}
        nodes = [world.add_host(name) for name in shape.node_names()]
        sentinels = [world.add_host(name) for name in shape.sentinel_names()]
        ips = [host.ip for host in nodes]
        for host, nodes_conf in zip(nodes, nodes_confs(shape, ips, world.stream("node ids")), strict=True):
            host.disk.put(NODE_CONF, node_conf(shape, host.ip))
            host.disk.put(f"{FOLDER}/nodes.conf", nodes_conf)
            seat = self._add(host)
            seat.program = node_program(world, NODE_CONF, seat.show)
        files = sentinel_confs(shape, ips, [host.ip for host in sentinels], world.stream("sentinel ids"))
        for host, sentinel_conf in zip(sentinels, files, strict=True):
            host.disk.put(SENTINEL_CONF, sentinel_conf)
            seat = self._add(host)
            seat.program = sentinel_program(world, SENTINEL_CONF, seat.show)
        if shape.proxy:
            seat = self._add(world.add_host(PROXY))
            arguments = ["--bind", seat.host.ip, "--port", str(PROXY_PORT)]
            arguments += ["--nodes", ",".join(f"{ip}:{NODE_PORT}" for ip in ips)]
            seat.program = proxy_program(world, arguments)

    def _add(self, host: Host) -> Seat:
        seat = self.seats[host.name] = Seat(host.name, host, _unset)
        return seat

    def start(self) -> None:
        """Switch everything on, at slightly different moments as machines do."""
        chance = self.world.stream("start")
        for seat in self.seats.values():
            self.world.loop.at(self.world.loop.now + 0.02 * chance.random(), seat.start)

    # ---- what can be seen from above

    def nodes(self) -> dict[str, Node]:
        """The live nodes by name."""
        return {seat.name: seat.inside for seat in self.seats.values() if seat.alive and isinstance(seat.inside, Node)}

    def sentinels(self) -> dict[str, Sentinel]:
        return {
            seat.name: seat.inside for seat in self.seats.values() if seat.alive and isinstance(seat.inside, Sentinel)
        }

    def name_at(self, ip: str) -> str:
        """The seat at an address, or the address where there is none."""
        return next((seat.name for seat in self.seats.values() if seat.host.ip == ip), ip)

    def faults(self) -> list[str]:
        """What keeps the cluster from being well, as sentences; empty when it is: all slots are served by their
        masters, all nodes agree on who that is, and every replica follows the right master and is in sync."""
        nodes = self.nodes()
        found = [f"{seat.name} does not run" for seat in self.seats.values() if not seat.alive]
        found += [f"{seat.name} is starting" for seat in self.seats.values() if seat.alive and not seat.ready]
        views: dict[tuple[tuple[str, int], ...], list[str]] = {}
        for name, node in nodes.items():
            assert node.cluster is not None
            state = node.cluster.state
            if not state.ok:
                found.append(f"{name} says cluster_state:fail")
            views.setdefault(tuple(sorted((n.id, n.slots) for n in state.nodes.values() if n.slots)), []).append(name)
            found += self._follow_faults(name, node)
        if len(views) > 1:
            found.append("nodes differ about who serves which slots: " + " / ".join(map(", ".join, views.values())))
        elif views and sum(slots.bit_count() for _, slots in next(iter(views))) < 16384:
            found.append("not all slots are served")
        found += self._sentinel_faults(nodes)
        return found

    def _follow_faults(self, name: str, node: Node) -> list[str]:
        assert node.cluster is not None
        myself = node.cluster.state.myself
        if myself.is_master:
            if node.replication.is_replica:
                return [f"{name} is a master and replicates"]
            return [] if myself.slots else [f"{name} is a master without slots"]
        master = myself.master
        if master is None:
            return [f"{name} is a replica of nobody"]
        master_name = self.name_at(master.ip)
        if not master.is_master:
            return [f"{name} follows {master_name}, which is no master"]
        if not node.replication.link_up:
            return [f"{name} is not in sync with {master_name}"]
        return []

    def _sentinel_faults(self, nodes: dict[str, Node]) -> list[str]:
        found = []
        for name, sentinel in self.sentinels().items():
            for master in sentinel.machine.knowledge.masters.values():
                believed = self.name_at(master.address.ip)
                node = nodes.get(believed)
                if node is None or node.replication.is_replica:
                    found.append(f"{name} takes {believed} for the master of {master.name}")
        return found


async def _unset(_: Process) -> int:
    raise AssertionError("a seat without a program")
