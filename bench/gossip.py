"""What gossip costs and how fast news spreads, by the size of the cluster: a table and a plot for the docs.

    python -m bench.gossip [--node-timeout MS] [--results DIR] [SIZE ...]        (10 50 100 300; 1000 takes minutes)

The rules alone, in virtual time: half of the nodes are masters, each with a replica. After a while one master dies.
Times are from its death; bytes are those of heartbeats on the wire, headers of TCP, UDP and IP not counted, which a
node sends in a second before anything happens. The last column is what the simulation itself cost.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.plot import Chart, Series, render
from cluster.codec import encoded_length
from cluster.events import BecomeMaster, Effect, LinkId, SlotsChanged
from cluster.messages import Heartbeat, Message
from sim.rules.forming import Shape
from sim.rules.host import Host, Watcher
from sim.rules.world import World

SIZES = (10, 50, 100, 300)
_NODE_TIMEOUT_MS = 15_000
# The pings of a cluster come in waves, one each half of the node timeout: a whole number of them is measured.
_WAVES = 2
# A failure is noticed at the latest after one and a half node timeouts; then reports spread, and replicas vote.
_LIMIT_TIMEOUTS = 4


@dataclass(frozen=True, slots=True)
class Figures:
    """One row. Times in seconds from the death of the master."""

    nodes: int
    messages_per_second: float
    bytes_per_second: float
    suspected: float
    failed: float
    all_know_failed: float
    elected: float
    all_know_successor: float
    virtual: float
    cpu: float


class _News(Watcher):
    """Counts heartbeats, and notes who learned what when."""

    def __init__(self, world: World, victim: Host) -> None:
        self._world = world
        self._victim = victim
        self._slot = world.shape.first_slot(victim.index)
        self.messages = 0
        self.bytes = 0
        self.suspected_at: float | None = None
        self.elected_at: float | None = None
        # By node: when it held the victim for failed, and when it knew who has its slots.
        self.failed_at: dict[int, float] = {}
        self.replaced_at: dict[int, float] = {}
        world.watch(self)

    def says(self, host: Host, message: Message, links: tuple[LinkId, ...]) -> None:
        if isinstance(message.body, Heartbeat):
            copies = len(links) or 1
            self.messages += copies
            self.bytes += copies * encoded_length(message)
            if self.suspected_at is None and host.machine.state.nodes[self._victim.node_id].pfail:
                self.suspected_at = self._world.now

    def does(self, host: Host, effect: Effect) -> None:
        if isinstance(effect, BecomeMaster):
            self.elected_at = self._world.now
        elif isinstance(effect, SlotsChanged):
            state = host.machine.state
            if state.nodes[self._victim.node_id].fail:
                self.failed_at.setdefault(host.index, self._world.now)
            owner = state.owner[self._slot]
            if owner is not None and owner.id != self._victim.node_id:
                self.replaced_at.setdefault(host.index, self._world.now)


def measure(nodes: int, node_timeout_ms: int) -> Figures:
    """A cluster of that size, and the death of one of its masters."""
    began = time.process_time()
    # Millions of objects, and no cycles that matter: looking for garbage would cost more than the run.
    gc.disable()
    world = World(1, Shape(nodes // 2, 1), lasting=False, node_timeout_ms=node_timeout_ms)
    victim = world["m0"]
    # A world begins with links that have just been used; after a node timeout they are as old as links are.
    world.run(node_timeout_ms)
    news = _News(world, victim)
    world.run(node_timeout_ms / 2 * _WAVES)
    seconds = node_timeout_ms / 2000 * _WAVES
    messages, sent = news.messages / seconds / nodes, news.bytes / seconds / nodes
    killed_at = world.now
    world.kill(victim)
    others = len(world.hosts) - 1
    world.run_until(lambda: len(news.replaced_at) == others, _LIMIT_TIMEOUTS * node_timeout_ms)
    assert news.suspected_at is not None
    assert news.elected_at is not None
    assert len(news.replaced_at) == others, "not everybody has heard"

    def after(moment: float) -> float:
        return (moment - killed_at) / 1000

    return Figures(
        nodes=nodes,
        messages_per_second=messages,
        bytes_per_second=sent,
        suspected=after(news.suspected_at),
        failed=after(min(news.failed_at.values())),
        all_know_failed=after(max(news.failed_at.values())),
        elected=after(news.elected_at),
        all_know_successor=after(max(news.replaced_at.values())),
        virtual=world.now / 1000,
        cpu=time.process_time() - began,
    )


def table(rows: Sequence[Figures], node_timeout_ms: int) -> str:
    """In Markdown."""
    lines = [
        f"Node timeout {node_timeout_ms} ms; half masters, one replica each; times in seconds after a master's death.",
        "",
        "| nodes | heartbeats/s per node | KB/s per node | first suspects | FAIL agreed | all know FAIL | elected"
        " | all know the successor | CPU seconds for virtual seconds |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.nodes} | {row.messages_per_second:.1f} | {row.bytes_per_second / 1000:.1f} | {row.suspected:.2f}"
        f" | {row.failed:.2f} | {row.all_know_failed:.2f} | {row.elected:.2f} | {row.all_know_successor:.2f}"
        f" | {row.cpu:.1f} for {row.virtual:.1f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def plot(rows: Sequence[Figures]) -> str:
    """Two charts, one above the other."""
    sizes = [float(row.nodes) for row in rows]
    cost = Series("heartbeats", sizes, [row.bytes_per_second / 1000 for row in rows])
    news = [
        Series("first suspects", sizes, [row.suspected for row in rows]),
        Series("FAIL agreed", sizes, [row.failed for row in rows]),
        Series("all know the successor", sizes, [row.all_know_successor for row in rows]),
    ]
    return render(
        [
            Chart("What gossip costs", "nodes", "KB/s sent by each node", [cost]),
            Chart("How fast news spreads", "nodes", "seconds after the death of a master", news),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("sizes", type=int, nargs="*", metavar="SIZE", default=SIZES)
    parser.add_argument("--node-timeout", type=int, default=_NODE_TIMEOUT_MS, metavar="MS")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    rows = []
    for nodes in options.sizes:
        rows.append(measure(nodes, options.node_timeout))
        print(f"{nodes} nodes: {rows[-1].cpu:.1f} s of CPU for {rows[-1].virtual:.1f} virtual seconds", flush=True)
        gc.collect()
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "gossip.md").write_text(table(rows, options.node_timeout), encoding="utf-8")
    (options.results / "gossip.svg").write_text(plot(rows), encoding="utf-8")
    print(table(rows, options.node_timeout))
    return 0


if __name__ == "__main__":
    sys.exit(main())
