"""What a person sees of a run while it goes on: what matters of what is told, names instead of addresses and ids."""

from __future__ import annotations

import re
from collections.abc import Callable

from sim.cluster import SimCluster

# What matters.
_OF_NOTE = re.compile(
    r"(strikes|mends) #|BROKEN|start |end |power cut|boot|# [+-](odown|try-failover|vote-for-leader|elected|failover|"
    r"switch-master|tilt|promoted)|Marking node|Taking over|Failover (election|auth granted)|Cluster state changed|"
    r"Reconfiguring myself|Full resync|partial resync.*successful|Successful partial|BUG REPORT|Unrecoverable"
)
_ADDRESS = re.compile(r"\b(10\.\d+\.\d+\.\d+)(?:[: ]\d+)?\b")
_ID = re.compile(r"\b[0-9a-f]{40}\b")


class Timeline:
    """Writes one line for each event of note."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        # By IP address, and by the ids of nodes and sentinels.
        self._hosts: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._cluster: SimCluster | None = None

    def watch(self, cluster: SimCluster) -> None:
        """Learn who is where."""
        self._cluster = cluster
        self._hosts = {host.ip: host.name for host in cluster.world.hosts.values()}

    def show(self, now: float, who: str, what: str) -> None:
        """A listener of traces."""
        if _OF_NOTE.search(what):
            self._write(f"{now:10.3f}  {who:<12} {self._readable(what)}\n")

    def _readable(self, what: str) -> str:
        text = _ADDRESS.sub(lambda found: self._hosts.get(found[1], found[0]), what)
        return _ID.sub(lambda found: self._name_of(found[0]), text)

    def _name_of(self, number: str) -> str:
        """Whose id that is; its beginning where nobody's: run ids and the ids of replication streams."""
        if number not in self._ids and self._cluster is not None:
            for name, node in self._cluster.nodes().items():
                if node.cluster is not None:
                    self._ids[node.cluster.state.myself.id] = name
            for name, sentinel in self._cluster.sentinels().items():
                self._ids[sentinel.machine.knowledge.my_id] = name
        return self._ids.get(number) or f"{number[:8]}..."
