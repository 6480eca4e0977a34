"""What INFO says about throughput: totals since the start, and rates over the last second or two.

Parts count what is theirs (the keyspace its hits, the executor its commands); this adds up connections, which come and
go, and turns totals into rates by sampling them on the cron.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from node.session import NodeSession
from wire.clients import Clients

if TYPE_CHECKING:
    from node.node import Node

# As Redis: the mean of sixteen samples, one every tenth of a second.
_SAMPLES = 16
SAMPLE_PERIOD_S = 0.1


class Rate:
    """How fast a total grows, a second."""

    __slots__ = ("_at", "_samples", "_total")

    def __init__(self, now: float) -> None:
        self._total = 0
        self._at = now
        self._samples: deque[float] = deque(maxlen=_SAMPLES)

    def sample(self, now: float, total: int) -> None:
        if now > self._at:
            # A total that was reset meanwhile (CONFIG RESETSTAT) has not shrunk.
            self._samples.append(max(total - self._total, 0) / (now - self._at))
        self._at, self._total = now, total

    @property
    def per_second(self) -> float:
        return sum(self._samples) / len(self._samples) if self._samples else 0.0


class Traffic:
    """Bytes and commands of all clients, those that have gone included."""

    __slots__ = (
        "_clients",
        "_gone_in",
        "_gone_out",
        "_loop",
        "_processed",
        "_zero_in",
        "_zero_out",
        "commands",
        "input",
        "output",
    )

    def __init__(self, clients: Clients[NodeSession], processed: Callable[[], int]) -> None:
        self._clients = clients
        self._gone_in = 0
        self._gone_out = 0
        # What to subtract since CONFIG RESETSTAT.
        self._zero_in = 0
        self._zero_out = 0
        self._processed = processed
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self.commands, self.input, self.output = Rate(now), Rate(now), Rate(now)

    @property
    def bytes_in(self) -> int:
        return self._gone_in - self._zero_in + sum([s.connection.bytes_in for s in self._clients if s.connection])

    @property
    def bytes_out(self) -> int:
        return self._gone_out - self._zero_out + sum([s.connection.bytes_out for s in self._clients if s.connection])

    def sample(self) -> None:
        now = self._loop.time()
        self.commands.sample(now, self._processed())
        self.input.sample(now, self.bytes_in)
        self.output.sample(now, self.bytes_out)

    def ended(self, bytes_in: int, bytes_out: int) -> None:
        """A connection is gone."""
        self._gone_in += bytes_in
        self._gone_out += bytes_out

    def reset(self) -> None:
        self._zero_in += self.bytes_in
        self._zero_out += self.bytes_out


def reset_statistics(node: Node) -> None:
    """CONFIG RESETSTAT: what INFO counts begins again."""
    node.traffic.reset()
    node.executor.aftermath.errors.clear()
    for command in node.table.every():
        command.calls = command.nanoseconds = command.rejected_calls = command.failed_calls = 0
        command.settled_calls = 0
        command.durations.clear()
        command.settle()
    node.table.settled_calls = 0
    keyspace, replicas = node.keyspace, node.replication.replicas
    keyspace.hits = keyspace.misses = keyspace.expired_keys = 0
    node.expiry.time_cap_reached = 0
    node.eviction.reset()
    node.buffers.evicted = 0
    node.graveyard.freed = 0
    node.child.forks = node.child.last_fork_ns = 0
    node.clients.total = node.clients.rejected = 0
    replicas.full_resyncs = replicas.partial_resyncs = replicas.partial_resyncs_refused = 0
