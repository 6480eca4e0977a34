"""Who is who while a scenario runs: seats behind addresses and ids, and whose turn it is to be a shard's master.

It is fed the events of the run (`lab.chaos.events`) and nothing else, so that both worlds resolve `master of shard-0`
in the same way. A shard is the master that it began with and that one's replicas, as sentinels call it: shard-0 ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lab.chaos.scenario import ROLE
from lab.topology import Topology, master_of

# How nodes.conf and sentinel.conf say who their owner is.
_OWN_ID = re.compile(r"^(?:sentinel myid ([0-9a-f]{40})|([0-9a-f]{40}) \S+ \S*myself)", re.MULTILINE)


def own_id(configuration: str) -> str:
    """The id that a node's nodes.conf or a sentinel's sentinel.conf gives to whom it belongs; empty without one."""
    found = _OWN_ID.search(configuration)
    return "" if found is None else found[1] or found[2]


class Roster:
    """The cast of one run."""

    def __init__(self, topology: Topology, names: Mapping[str, str]) -> None:
        # Seats by what log lines call them: "address port" and id.
        self._names = names
        self._shards = {
            f"node-{number}": f"shard-{number if (master := master_of(topology, number)) is None else master}"
            for number in range(topology.nodes)
        }
        # Each shard's master now, by seat.
        self.masters = {f"shard-{number}": f"node-{number}" for number in range(topology.masters)}

    def name(self, called: str) -> str:
        """The seat that is called so, or the words themselves."""
        return self._names.get(called, called)

    def shard_of(self, seat: str) -> str:
        """A node's shard; empty for any other seat."""
        return self._shards.get(seat, "")

    def resolve(self, whom: str) -> str:
        """The seat that a scenario means, now."""
        role = ROLE.fullmatch(whom)
        if role is None:
            return whom
        shard = f"shard-{role[2]}"
        master = self.masters[shard]
        if role[1] == "master":
            return master
        return next(seat for seat, its_shard in self._shards.items() if its_shard == shard and seat != master)
