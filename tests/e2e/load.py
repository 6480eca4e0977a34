"""A stream of writes from several kinds of clients, and the record of what each of them saw.

Every key is written once, with a value of its own, so that reading it later says whether an acknowledged write is
still there. A write that ended in an error may have happened or not; no claim rests on it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise

import redis

from tests.e2e.cluster import Cluster, slot_of
from tests.waiting import wait_for

# Between two writes of one client: a stream, not a benchmark.
_PACE = 0.004


@dataclass(frozen=True, slots=True)
class Write:
    """One write as its client saw it."""

    key: str
    began: float
    ended: float
    # Empty when it was acknowledged.
    error: str


@dataclass(slots=True)
class Writer:
    """One client in a thread of its own, writing to keys of some hash tags until it is told to stop."""

    name: str
    tags: list[str]
    # Writes one key; raises redis.RedisError when it was refused or not answered.
    write: Callable[[str], None]
    history: list[Write] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        for number in count():
            if stop.wait(_PACE):
                return
            key = f"{self.tags[number % len(self.tags)]}:{self.name}:{number}"
            began = time.monotonic()
            try:
                self.write(key)
                error = ""
            except redis.RedisError as failure:
                error = f"{type(failure).__name__}: {failure}"
            self.history.append(Write(key, began, time.monotonic(), error))

    @property
    def acknowledged(self) -> list[Write]:
        return [write for write in self.history if not write.error]

    @property
    def errors(self) -> list[Write]:
        return [write for write in self.history if write.error]

    def wait_acknowledged(self, more: int) -> None:
        """Return when `more` writes, begun from now on, have been acknowledged."""
        now = time.monotonic()

        def enough() -> bool:
            return sum(write.began >= now for write in self.acknowledged[-more:]) >= more

        wait_for(enough, what=f"{more} more acknowledged writes of {self.name}: {self.history[-1:]}")

    def outage(self) -> float:
        """The longest time between two acknowledgements, in seconds."""
        moments = [write.ended for write in self.acknowledged]
        return max((later - earlier for earlier, later in pairwise(moments)), default=0.0)

    def lost(self, read: Callable[[str], object]) -> list[Write]:
        """Acknowledged writes that are not there any more."""
        return [write for write in self.acknowledged if read(write.key) != write.key]


@contextmanager
def streaming(writers: Iterable[Writer]) -> Iterator[None]:
    """Let the writers write meanwhile."""
    stop = threading.Event()
    threads = [threading.Thread(target=writer.run, args=(stop,), name=writer.name) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def plain_writer(cluster: Cluster, name: str, tags: list[str], *, timeout: float = 0.25) -> Writer:
    """A cluster client that takes the master's word."""
    client = cluster.client(timeout)

    def write(key: str) -> None:
        client.set(key, key)

    return Writer(name, tags, write)


def waiting_writer(cluster: Cluster, name: str, tags: list[str]) -> Writer:
    """A cluster client for which a write counts when a replica has it too (WAIT)."""
    client = cluster.client()

    def write(key: str) -> None:
        # The cluster client finds the master; then once more on one connection, for WAIT speaks of that one's writes.
        client.set(key, key)
        node = client.nodes_manager.get_node_from_slot(slot_of(key))
        with client.get_redis_connection(node).pipeline(transaction=False) as pipe:
            pipe.set(key, key)
            pipe.wait(1, 200)
            _, replicas = pipe.execute()
        if replicas < 1:
            raise redis.TimeoutError("no replica confirmed it")

    return Writer(name, tags, write)


def proxy_writer(cluster: Cluster, name: str, tags: list[str]) -> Writer:
    """A client that knows nothing of clusters, and lets the proxy wait for the failover."""
    client = redis.Redis(host="127.0.0.1", port=cluster.proxy_port, socket_timeout=10, decode_responses=True)

    def write(key: str) -> None:
        client.set(key, key)

    return Writer(name, tags, write)
