"""When a lab is ready: what is still missing, as sentences.

Ready means that it can lose a master now. All 16384 slots are served in the eyes of every node, every
replica has its first copy and its master counts on it (a master that is killed before that has no
heir), every sentinel reaches every other one and every replica, and the proxy reaches every shard.

Whole is less: everybody runs, all slots are served, every replica is in sync, and sentinels take the right nodes for
masters. A cluster that has just been mended is whole at once, and ready when the sentinels have looked round again.
"""

from __future__ import annotations

from lab.drivers.process import Life
from lab.observe import NodeView, Observation
from lab.topology import SLOTS, Role


def missing(observations: list[Observation]) -> list[str]:
    """What keeps the lab from being ready, each a sentence that names the process; empty when it is ready."""
    faults = unwell(observations)
    nodes = _nodes(observations)
    watchers = _watchers(observations)
    for seen in watchers:
        faults += _blind_spots(seen, nodes, others=len(watchers) - 1)
    return faults


def unwell(observations: list[Observation]) -> list[str]:
    """What keeps the lab from being whole, likewise."""
    faults = []
    for seen in observations:
        if seen.life is not Life.RUNNING:
            faults.append(f"{seen.name} is {seen.life}")
        elif seen.silence:
            faults.append(f"{seen.name} does not answer: {seen.silence}")
        elif seen.role is Role.PROXY and not seen.answers:
            faults.append(f"{seen.name} does not reach every shard")
    nodes = _nodes(observations)
    for name, node in nodes.values():
        faults += _node_faults(name, node, nodes)
    for seen in _watchers(observations):
        faults += _wrong_masters(seen, nodes)
    return faults


def _nodes(observations: list[Observation]) -> dict[str, tuple[str, NodeView]]:
    """The nodes that answer, by address."""
    return {seen.address: (seen.name, seen.node) for seen in observations if seen.node is not None}


def _watchers(observations: list[Observation]) -> list[Observation]:
    return [seen for seen in observations if seen.role is Role.SENTINEL and seen.state == "running"]


def _node_faults(name: str, node: NodeView, nodes: dict[str, tuple[str, NodeView]]) -> list[str]:
    faults = []
    if node.cluster_state != "ok":
        faults.append(f"{name} says cluster_state:{node.cluster_state}")
    elif node.slots_ok != SLOTS:
        faults.append(f"{name} sees {node.slots_ok} of {SLOTS} slots served")
    if node.role == "master":
        return faults
    if not node.link_up:
        faults.append(f"{name} is not in sync with its master {node.master}")
    elif node.master in nodes:
        master_name, master = nodes[node.master]
        address = next(address for address, (other, _) in nodes.items() if other == name)
        if address not in master.online_replicas:
            faults.append(f"{master_name} does not count {name} among its replicas yet")
    return faults


def _wrong_masters(seen: Observation, nodes: dict[str, tuple[str, NodeView]]) -> list[str]:
    masters = {address for address, (_, node) in nodes.items() if node.role == "master" and node.slots}
    unwatched = sorted(masters - {watch.address for watch in seen.watches})
    return [f"{seen.name} does not watch the master {address}" for address in unwatched]


def _blind_spots(seen: Observation, nodes: dict[str, tuple[str, NodeView]], *, others: int) -> list[str]:
    """What a sentinel does not reach, and needs to replace a master."""
    faults = []
    for watch in seen.watches:
        if watch.troubles:
            faults.append(f"{seen.name} sees {watch.name} as {', '.join(watch.troubles)}")
        if len(watch.sentinels) < others:
            faults.append(f"{seen.name} reaches {len(watch.sentinels)} of {others} other sentinels for {watch.name}")
        faults += [
            f"{seen.name} does not reach {watch.name}'s replica {address} yet"
            for address, (_, node) in nodes.items()
            if node.master == watch.address and address not in watch.replicas
        ]
    return faults
