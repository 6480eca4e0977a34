"""`maxmemory`: when the data take too much, keys go by the policy, or commands that need memory are refused.

Before a command that may need memory (`fits`, then `make_room`) and from a timer that continues what took too long.
Each key that goes is deleted like any other: watchers and replicas are told, and an `evicted` event is fired (fact
sheet on eviction, section 4). Replicas leave it to their master, unless `replica-ignore-maxmemory` is off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from node.database import DELETE_EXPIRED, Database
from node.gates import OUT_OF_MEMORY, Conditions
from node.keyspace import Keyspace
from node.latency import LatencyMonitor
from node.memory.access import Uses
from node.memory.account import DATABASE_BYTES, estimated_bytes
from node.memory.sampling import Pool
from runtime import Runtime

if TYPE_CHECKING:
    from node.settings import NodeSettings

# The counter of a use is at most this, and no time to live is longer than that.
_FREQUENCY_MAX = 255
_TIME_MAX = 2**64 - 1
# Keys between two looks at the clock.
_STEP = 16
# How long a turn may go on evicting, by `maxmemory-eviction-tenacity`, as in Redis.
_TENACITY_LINEAR = 10
_TENACITY_UNBOUND = 100
_NS_PER_TENACITY = 50_000
# How long a turn may count keys, after a limit was set for data that are there already; and how long the first one may,
# so that a limit holds from the next command on where there are few.
_COUNTING_NS = 2_000_000
_COUNTING_FIRST_NS = 20_000_000


class Eviction:
    """The limit, and what is done about it."""

    __slots__ = (
        "_buffers",
        "_buffers_again_ns",
        "_chance",
        "_conditions",
        "_exceeded_ms",
        "_exceeded_since_ms",
        "_frozen",
        "_is_replica",
        "_keyspace",
        "_latency",
        "_next_database",
        "_pass_on",
        "_peak",
        "_pool",
        "_runtime",
        "_settings",
        "_timer",
        "_wanted_uses",
        "buffer_bytes",
        "limit",
    )

    def __init__(
        self,
        settings: NodeSettings,
        runtime: Runtime,
        keyspace: Keyspace,
        conditions: Conditions,
        *,
        buffers: Callable[[], int],
        pass_on: Callable[[], None],
        frozen: Callable[[], bool],
        is_replica: Callable[[], bool],
        latency: LatencyMonitor,
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._keyspace = keyspace
        self._conditions = conditions
        # Passes the deletions on to replicas and the log.
        self._pass_on = pass_on
        # Whether nothing but commands may change data now.
        self._frozen = frozen
        self._is_replica = is_replica
        self._latency = latency
        # Adds up what counts beside the data: buffers of clients and of replication. What that came to when it was
        # done last, and when (`perf_ns`) it may be done again.
        self._buffers = buffers
        self.buffer_bytes = 0
        self._buffers_again_ns = 0
        self._chance = runtime.random.stream("eviction")
        self._pool = Pool()
        # The database from which the random policies take the next key.
        self._next_database = 0
        self._timer: asyncio.TimerHandle | None = None
        # Somebody asked how long keys have been idle, though no policy needs it.
        self._wanted_uses = False
        self._peak = 0
        # `maxmemory` as far as it is to be kept here; 0: there is none.
        self.limit = 0
        # For INFO: since when the limit is exceeded (None: it is not), and for how long it was before.
        self._exceeded_since_ms: int | None = None
        self._exceeded_ms = 0

    # The settings

    def configured(self) -> None:
        """`maxmemory`, its policy, or the node's role is another one."""
        settings = self._settings
        policy = settings.maxmemory_policy
        ignored = self._is_replica() and settings.replica_ignore_maxmemory
        self.limit = 0 if ignored else settings.maxmemory
        counting = policy.endswith("lfu")
        timing = (policy.endswith("lru") and settings.maxmemory > 0) or self._wanted_uses
        uses = self._keyspace.uses
        if not counting and not timing:
            uses = None
        elif uses is None or uses.counting != counting:
            clock, chance = self._runtime.clock, self._runtime.random.stream("key-frequency")
            uses = Uses(settings, chance, clock.wall_ms, counting=counting)
        self._keyspace.keep(accounted=settings.maxmemory > 0, uses=uses)
        self._pool.clear()
        if not self.limit:
            self._conditions.set(OUT_OF_MEMORY, False)
            self._exceeds(False)
        elif self._count(_COUNTING_FIRST_NS):
            # Not now: the rest of a transaction that sets the limit still meets its keys. Who comes next does not.
            self._continue_soon()

    def note_uses(self, quiet_since_ms: int | None = None) -> Uses:
        """How uses are noted; they are from now on, if they were not before (OBJECT IDLETIME).

        No key has been used since `quiet_since_ms`, when that is given.
        """
        if self._keyspace.uses is None:
            self._wanted_uses = True
            self.configured()
            for database in self._keyspace.databases():
                if database.clocks is not None and quiet_since_ms is not None:
                    database.clocks.count_from(quiet_since_ms)
        assert self._keyspace.uses is not None
        return self._keyspace.uses

    # How much there is

    def used_bytes(self) -> int:
        """Data and buffers; an estimate of the data while there is no limit."""
        used = self._data_bytes() + self.buffer_bytes
        self._peak = max(self._peak, used)
        return used

    @property
    def peak_bytes(self) -> int:
        """The most there was whenever somebody asked how much there is."""
        return self._peak

    def _data_bytes(self) -> int:
        total = 0
        for database in self._keyspace.databases():
            account = database.account
            total += DATABASE_BYTES + (estimated_bytes(database) if account is None else account.total())
        return total

    def _counted(self) -> bool:
        return all(account.complete for database in self._keyspace.databases() if (account := database.account))

    def fits(self) -> bool:
        """Whether there is room for a command that may need memory; nobody is refused while keys are being counted."""
        return self.used_bytes() <= self.limit if self._counted() else True

    # Making room

    def make_room(self) -> None:
        """Before a command: evict what must go; sets, or lifts, the condition that refuses commands."""
        limit = self.limit
        if not limit or not self._counted():
            return
        if self.used_bytes() <= limit:
            self._exceeds(False)
            self._conditions.set(OUT_OF_MEMORY, False)
        elif not self._frozen() and not self._is_paused():
            # Keys must not go for the buffers of a client that has left.
            if self._runtime.clock.perf_ns() >= self._buffers_again_ns:
                self._count_buffers()
            self._exceeds(self.used_bytes() > limit)
            self._conditions.set(OUT_OF_MEMORY, not self._evict())

    def cron(self) -> None:
        """What no command does: buffers have grown, or deletions made room."""
        if self.limit:
            self._count_buffers()
            self.make_room()

    def _count_buffers(self) -> None:
        """Add up the buffers, which takes a look at every client: no more than a tenth of the time goes there."""
        started_ns = self._runtime.clock.perf_ns()
        self.buffer_bytes = self._buffers()
        ended_ns = self._runtime.clock.perf_ns()
        self._buffers_again_ns = ended_ns + 9 * (ended_ns - started_ns)

    def exceeded_now_ms(self) -> int:
        """For how long the limit has been exceeded; 0: it is not."""
        since_ms = self._exceeded_since_ms
        return 0 if since_ms is None else self._runtime.clock.wall_ms() - since_ms

    def exceeded_total_ms(self) -> int:
        """For how long it was since the start."""
        return self._exceeded_ms + self.exceeded_now_ms()

    def reset(self) -> None:
        """CONFIG RESETSTAT."""
        self._exceeded_ms = 0
        self._keyspace.evicted_keys = 0
        self._peak = 0

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_paused(self) -> bool:
        return not self._is_replica() and self._keyspace.expiry != DELETE_EXPIRED

    def _exceeds(self, exceeds: bool) -> None:
        now_ms = self._runtime.clock.wall_ms()
        if exceeds and self._exceeded_since_ms is None:
            self._exceeded_since_ms = now_ms
        elif not exceeds and self._exceeded_since_ms is not None:
            self._exceeded_ms += now_ms - self._exceeded_since_ms
            self._exceeded_since_ms = None

    def _evict(self) -> bool:
        """Delete keys until there is room, or the time is up; False when the policy lets none go."""
        settings, keyspace = self._settings, self._keyspace
        verb = b"UNLINK" if settings.lazyfree_lazy_eviction else b"DEL"
        perf_ns = self._runtime.clock.perf_ns
        started_ns, allowed_ns = perf_ns(), _allowed_ns(settings.maxmemory_eviction_tenacity)
        evicted = 0
        room = True
        while self.used_bytes() > self.limit:
            victim = self._choose()
            if victim is None:
                room = False
                break
            keyspace.evict(*victim, verb)
            evicted += 1
            if evicted % _STEP == 0 and allowed_ns is not None and perf_ns() - started_ns > allowed_ns:
                self._continue_soon()
                break
        else:
            self._exceeds(False)
        if evicted:
            self._pass_on()
        self._latency.note("eviction-cycle", perf_ns() - started_ns)
        return room

    def _continue_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(0, self._continue)

    def _continue(self) -> None:
        """A slice of what is left to do: counting keys first, evicting them then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._count(_COUNTING_NS):
            self.make_room()

    def _count(self, counting_ns: int) -> bool:
        """Count keys for so long; False, and it goes on soon, when there are more."""
        started_ns = self._runtime.clock.perf_ns()
        for database in self._keyspace.databases():
            while (account := database.account) is not None and not account.complete:
                account.open_some()
                if self._runtime.clock.perf_ns() - started_ns > counting_ns:
                    self._continue_soon()
                    return False
        return True

    # Choosing

    def _choose(self) -> tuple[Database, bytes] | None:
        """The next key to go; None when there is none that may."""
        policy = self._settings.maxmemory_policy
        if policy == "noeviction":
            return None
        volatile = policy.startswith("volatile")
        candidates = [database for database in self._keyspace.databases() if _size(database, volatile=volatile)]
        if not candidates:
            return None
        if policy.endswith("random"):
            self._next_database += 1
            database = candidates[self._next_database % len(candidates)]
            return database, self._sample(database, 1, volatile=volatile)[0][1]
        while True:
            for database in candidates:
                for slot, key in self._sample(database, self._settings.maxmemory_samples, volatile=volatile):
                    self._pool.offer(self._score(policy, database, slot, key), database.index, key)
            while (best := self._pool.take()) is not None:
                database = self._keyspace.database(best[0])
                if (database.expire_time(best[1]) is not None) if volatile else database.holds(best[1]):
                    return database, best[1]

    def _sample(self, database: Database, count: int, *, volatile: bool) -> list[tuple[int, bytes]]:
        account = database.account
        assert account is not None, "there is a limit, so there is an account"
        if volatile:
            return account.volatile.sample(database.expires, count, self._chance)
        return account.occupied.sample(account.sizes, count, self._chance)

    def _score(self, policy: str, database: Database, slot: int, key: bytes) -> int:
        """The higher, the sooner it goes."""
        if policy == "volatile-ttl":
            return _TIME_MAX - (database.expire_time(key) or 0)
        clocks = database.clocks
        assert clocks is not None, "the policy needs to know of uses, so they are noted"
        entry = clocks.entry(slot, key)
        return _FREQUENCY_MAX - clocks.uses.frequency(entry) if clocks.uses.counting else clocks.uses.idle_s(entry)


def _size(database: Database, *, volatile: bool) -> int:
    account = database.account
    if volatile:
        return database.volatile
    return 0 if account is None else account.counted


def _allowed_ns(tenacity: int) -> int | None:
    """None: as long as it takes."""
    if tenacity <= _TENACITY_LINEAR:
        return _NS_PER_TENACITY * tenacity
    if tenacity < _TENACITY_UNBOUND:
        return int(_NS_PER_TENACITY * _TENACITY_LINEAR * 1.15 ** (tenacity - _TENACITY_LINEAR))
    return None
