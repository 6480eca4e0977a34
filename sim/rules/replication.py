"""Replication as a number: masters that serve write, and replicas come to have what was written.

Enough for the rules, which ask how far a copy is and how long ago it was fresh. A replica is one beat behind.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from sim.rules.agenda import Agenda
from sim.rules.network import Network

if TYPE_CHECKING:
    from sim.rules.host import Host

BEAT_MS = 50.0
_WRITES_MAX = 100


class Replication:
    """All streams of a world."""

    __slots__ = ("_agenda", "_by_id", "_chance", "_network")

    def __init__(self, agenda: Agenda, network: Network, seed: int | str) -> None:
        self._agenda = agenda
        self._network = network
        self._chance = Random(f"{seed} writes")
        self._by_id: dict[str, Host] = {}

    def attach(self, host: Host) -> None:
        self._by_id[host.node_id] = host
        host.replication = self

    def connected(self, replica: Host) -> bool:
        """Whether a replica's stream is up. One that has more than a master that came back is given no copy."""
        master = None if replica.following is None else self._by_id.get(replica.following)
        return (
            master is not None
            and master.running
            and replica.running
            and master.following is None
            and not (master.machine.view.returning and replica.offset > master.offset)
            and self._network.reaches(master, replica)
            and self._network.reaches(replica, master)
        )

    def beat(self) -> None:
        """One moment of writing and copying; plans the next one."""
        hosts = list(self._by_id.values())
        for host in hosts:
            if host.following is not None and self.connected(host):
                host.offset = self._by_id[host.following].offset
                host.heard_master_at = self._agenda.now
        for host in hosts:
            if host.serving:
                host.offset += self._chance.randrange(_WRITES_MAX)
        self._agenda.at(self._agenda.now + BEAT_MS, self.beat)
