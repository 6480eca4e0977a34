"""The tables of a cluster that has been running for a while: a simulation starts in the middle.

Forming a cluster by MEET costs N² handshakes and is tested elsewhere; here everybody knows everybody, links are up,
and the last answers are spread over the time in which they count as fresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from cluster.membership import ClusterState, NodeEntry
from cluster.numbers import Numbers
from cluster.slots import SLOTS, from_ranges
from sim.rules.host import WALL_MS, Host
from sim.rules.network import End, Network


@dataclass(frozen=True, slots=True)
class Shape:
    """How many masters, how many replicas each. Masters come first, then their replicas in turn."""

    masters: int
    replicas: int

    @property
    def nodes(self) -> int:
        return self.masters * (1 + self.replicas)

    def master_of(self, index: int) -> int | None:
        """The place of a replica's master; None for a master."""
        return None if index < self.masters else index % self.masters

    def name(self, index: int) -> str:
        """m0, m1 …; r0 is the first replica of m0, and so round."""
        return f"m{index}" if index < self.masters else f"r{index - self.masters}"

    def slots(self, index: int) -> int:
        return _slots(self.first_slot(index), self.first_slot(index + 1)) if index < self.masters else 0

    def first_slot(self, index: int) -> int:
        """Where a master's slots begin."""
        return index * SLOTS // self.masters


@lru_cache(4096)
def _slots(first: int, end: int) -> int:
    """Cached: a number of two kilobytes, which is in all tables, is to be the same object in all of them."""
    return from_ranges([(first, end - 1)])


def tables(shape: Shape, hosts: Sequence[Host], me: int, now_ms: float, numbers: Numbers | None = None) -> ClusterState:
    """What one node knows: all of it. Its links are up; `connect` gives them their other ends."""
    rng = Random(f"{hosts[me].node_id} pongs")
    entries = [_entry(host, now_ms) for host in hosts]
    state = ClusterState(entries[me], numbers)
    for index, entry in enumerate(entries):
        entry.is_master = index < shape.masters
        entry.is_replica = not entry.is_master
        # Every master won its slots in an epoch of its own.
        entry.config_epoch = index + 1 if entry.is_master else 0
        if index == me:
            continue
        state.add(entry)
        entry.link, entry.link_ready = _outbound(me, index), True
        entry.inbound_link = -_outbound(me, index)
        entry.datagrams = hosts[index].settings.datagram_heartbeats
        entry.pong_received_at = now_ms - rng.random() * hosts[me].settings.node_timeout_ms / 2
        entry.heard_at = entry.pong_received_at
    for index in range(shape.masters, len(hosts)):
        master = entries[index % shape.masters]
        entries[index].master = master
        master.replicas.append(entries[index])
        master.migrate_to = True
    for index in range(shape.masters):
        state.assign(shape.slots(index), entries[index])
    state.current_epoch = shape.masters
    state.ok = True
    state.wall_offset_ms = WALL_MS
    return state


def connect(hosts: Sequence[Host], network: Network) -> None:
    """The links that `tables` speaks of."""
    for a in range(len(hosts)):
        hosts[a].inbound = -len(hosts)
        for b in range(len(hosts)):
            if a != b:
                network.join(End(hosts[a], _outbound(a, b)), End(hosts[b], -_outbound(b, a)))


def _entry(host: Host, now_ms: float) -> NodeEntry:
    entry = NodeEntry(host.node_id, host.ip, host.settings.port, host.settings.bus_port)
    entry.created_at = entry.link_at = entry.link_proved_at = now_ms
    return entry


def _outbound(dialler: int, other: int) -> int:
    """What a node calls its link to another one, and, negated, that one's link to it."""
    return other + 1 if other < dialler else other
