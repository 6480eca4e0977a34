"""What INFO says about throughput: totals since the start, and rates over the last second or two.

Parts count what is theirs (the keyspace its hits, the executor its commands); this adds up connections, which come and
go, and turns totals into rates by sampling them on the cron.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from node.session import NodeSession
from wire.clients import Clients
from wire.turn import Turn

if TYPE_CHECKING:
    from node.node import Node

# As Redis: the mean over sixteen intervals of a tenth of a second.
_INTERVALS = 16
SAMPLE_PERIOD_S = 0.1


# The loop's time in seconds, and the totals of commands, bytes in and bytes out.
_Sample = tuple[float, int, int, int]
_AT, _COMMANDS, _BYTES_IN, _BYTES_OUT = range(4)


class Traffic:
    """Bytes and commands of all clients, those that have gone included."""

    __slots__ = (
        "_clients",
        "_gone_in",
        "_gone_out",
        "_loop",
        "_processed",
        "_samples",
        "_turn",
        "_zero_in",
        "_zero_out",
    )

    def __init__(self, clients: Clients[NodeSession], turn: Turn, processed: Callable[[], int]) -> None:
        self._clients = clients
        # Counts what connections did not: replies that they did not collect, and commands that were put off.
        self._turn = turn
        self._gone_in = 0
        self._gone_out = 0
        # What to subtract since CONFIG RESETSTAT.
        self._zero_in = 0
        self._zero_out = 0
        self._processed = processed
        self._loop = asyncio.get_running_loop()
        # One more than there are intervals between them.
        self._samples: deque[_Sample] = deque([(self._loop.time(), 0, 0, 0)], maxlen=_INTERVALS + 1)

    @property
    def bytes_in(self) -> int:
        collected = sum([s.connection.bytes_in for s in self._clients if s.connection])
        return self._gone_in - self._zero_in + self._turn.bytes_in + collected

    @property
    def bytes_out(self) -> int:
        collected = sum([s.connection.bytes_out for s in self._clients if s.connection])
        return self._gone_out - self._zero_out + self._turn.bytes_out + collected

    def sample(self) -> None:
        """Remember the totals; a rate is made of them when somebody asks for it."""
        bytes_in = self._gone_in - self._zero_in + self._turn.bytes_in
        bytes_out = self._gone_out - self._zero_out + self._turn.bytes_out
        for session in self._clients.by_id.values():
            connection = session.connection
            if connection is not None:
                bytes_in += connection.bytes_in
                bytes_out += connection.bytes_out
        self._samples.append((self._loop.time(), self._processed(), bytes_in, bytes_out))

    @property
    def commands_per_second(self) -> float:
        return self._rate(_COMMANDS)

    @property
    def bytes_in_per_second(self) -> float:
        return self._rate(_BYTES_IN)

    @property
    def bytes_out_per_second(self) -> float:
        return self._rate(_BYTES_OUT)

    def _rate(self, total: int) -> float:
        """How fast a total has grown, a second: the mean of the rates between samples."""
        rates = [
            # A total that was reset meanwhile (CONFIG RESETSTAT) has not shrunk.
            max(later[total] - earlier[total], 0) / (later[_AT] - earlier[_AT])
            for earlier, later in pairwise(self._samples)
            if later[_AT] > earlier[_AT]
        ]
        return sum(rates) / len(rates) if rates else 0.0

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
    node.errors.clear()
    for command in node.table.every():
        command.forget_calls()
    node.table.settled_calls = 0
    keyspace, replicas = node.keyspace, node.replication.replicas
    keyspace.hits = keyspace.misses = 0
    keyspace.expired_keys = keyspace.expired_fields = 0
    node.expiry.time_cap_reached = 0
    node.eviction.reset()
    node.buffers.evicted = 0
    node.service.overfilled = node.service.output_limits.disconnections = 0
    node.accounts.log.refused.clear()
    node.graveyard.freed = 0
    node.child.forks = node.child.last_fork_ns = 0
    node.clients.total = node.clients.rejected = 0
    replicas.full_resyncs = replicas.partial_resyncs = replicas.partial_resyncs_refused = 0
