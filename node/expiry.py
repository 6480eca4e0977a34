"""Active expiry: sampling volatile keys on a timer, so that what nobody reads goes away too.

Redis' slow cycle (expiry fact sheet, section 1.2): `hz` times a second, slots are visited from where the last
cycle stopped; of each database some keys are looked at, and it is visited again at once while more than a tenth
of them had expired. A cycle never takes more than a small slice of time, so clients do not notice it. One that was not
done with what was due is continued, in shorter slices, before the next one (Redis' fast cycle).

Fields of hashes that expire need no sampling: each database knows which of its hashes is due next.

A replica waits for its master's word, but nobody will give it one for the keys that its own clients have let expire.
These it deletes itself.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from cluster.slots import SLOTS
from node.database import DELETE_EXPIRED, HIDE_EXPIRED, Database, slot_of
from node.keyspace import Keyspace
from node.latency import LatencyMonitor
from node.structures.hashes import Hash
from runtime.clock import Clock

_KEYS_PER_LOOP = 20
_KEYS_PER_EFFORT = 5
# Redis allows a quarter of the time between cycles, 25 ms at 10 Hz; a turn of our loop should not wait that long.
_BUDGET_NS = 4_000_000
# A continuation's, and how long clients have before it: a quarter of the time at most goes into expiry, as in Redis.
_SLICE_NS = 2_000_000
_PAUSE_S = 0.006
_ACCEPTABLE_STALE_PERCENT = 10
# What one cycle leaves of the estimate that was made before it, as in Redis.
_OLD_ESTIMATE = 0.95
_SLOTS_PER_LOOP = 512
_KEYS_PER_VISIT_MAX = 2048
# Expired fields of one hash that are deleted in one go: before the clock is looked at, or by a command that meets them.
FIELDS_PER_PORTION = 256
# Keys of a replica's own that are looked at before it is asked how many of them had expired.
_OWN_KEYS_PER_LOOP = 20


class ActiveExpiry:
    """The cycle and where it stands."""

    __slots__ = (
        "_clock",
        "_cursors",
        "_frozen",
        "_is_replica",
        "_keyspace",
        "_latency",
        "_next",
        "_pass_on",
        "_timer",
        "effort",
        "enabled",
        "stale_percent",
        "time_cap_reached",
    )

    def __init__(
        self,
        keyspace: Keyspace,
        clock: Clock,
        pass_on: Callable[[], None],
        frozen: Callable[[], bool],
        is_replica: Callable[[], bool],
        latency: LatencyMonitor,
    ) -> None:
        self._keyspace = keyspace
        self._clock = clock
        # Passes the deletions on to replicas and the log.
        self._pass_on = pass_on
        # Whether the replication stream must not grow now.
        self._frozen = frozen
        self._is_replica = is_replica
        self._latency = latency
        self._timer: asyncio.TimerHandle | None = None
        # The slot each database's next visit begins with.
        self._cursors: dict[int, int] = {}
        # The database the next cycle begins with.
        self._next = 0
        # `active-expire-effort`, 1 to 10.
        self.effort = 1
        # DEBUG SET-ACTIVE-EXPIRE.
        self.enabled = True
        # For INFO: estimate of expired keys still in memory, and how often a cycle ran out of time.
        self.stale_percent = 0.0
        self.time_cap_reached = 0

    def cycle(self) -> None:
        """One slow cycle; does nothing while clients are paused, and little on a replica."""
        self._run(_BUDGET_NS)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _continue(self) -> None:
        self._timer = None
        self._run(_SLICE_NS)

    def _run(self, budget_ns: int) -> None:
        keyspace = self._keyspace
        databases = [each for each in keyspace.databases() if each.volatile or each.field_deadlines.times]
        if not databases and not keyspace.own_volatile:
            self.stale_percent *= _OLD_ESTIMATE
            return
        if not self.enabled or self._frozen():
            return
        if self._is_replica():
            self._visit_own()
            return
        if keyspace.expiry != DELETE_EXPIRED:
            return
        keyspace.own_volatile.clear()
        started = self._clock.perf_ns()
        keyspace.now_ms = self._clock.wall_ms()
        ends = started + budget_ns
        sampled = expired = 0
        done = True
        # The time of a cycle is for all databases: the next one begins with the first that this one does not come to.
        databases.sort(key=lambda each: (each.index < self._next, each.index))
        self._next = 0
        for at, database in enumerate(databases):
            if at and self._clock.perf_ns() > ends:
                self._next = database.index
                done = False
                break
            if database.field_deadlines.times and not self._visit_fields(database, ends):
                done = False
            while database.volatile:
                looked_at, deleted = self._visit(database)
                sampled += looked_at
                expired += deleted
                if self._clock.perf_ns() > ends:
                    self.time_cap_reached += 1
                    done = False
                    break
                if looked_at and deleted * 100 <= looked_at * (_ACCEPTABLE_STALE_PERCENT - self.effort + 1):
                    break
                if not looked_at and not self._cursors[database.index]:
                    break
        current = 100 * expired / sampled if sampled else 0.0
        self.stale_percent = (1 - _OLD_ESTIMATE) * current + _OLD_ESTIMATE * self.stale_percent
        self._pass_on()
        self._latency.note("expire-cycle", self._clock.perf_ns() - started)
        if not done and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE_S, self._continue)

    def _visit_own(self) -> None:
        """On a replica: delete expired keys of its own, as long as a good part of those looked at has expired."""
        keyspace, own = self._keyspace, self._keyspace.own_volatile
        if not own or keyspace.expiry != HIDE_EXPIRED:
            return
        started = self._clock.perf_ns()
        keyspace.now_ms = self._clock.wall_ms()
        expired = _OWN_KEYS_PER_LOOP
        while own and expired * 4 >= _OWN_KEYS_PER_LOOP and self._clock.perf_ns() - started < _BUDGET_NS:
            expired = 0
            for _ in range(min(_OWN_KEYS_PER_LOOP, len(own))):
                (index, key), _ = own.popitem(last=False)
                database = keyspace.database(index)
                when = database.expire_time(key)
                if when is None:
                    # It is gone, or its master has given it another value.
                    continue
                if when < keyspace.now_ms:
                    database.expire_now(key)
                    expired += 1
                else:
                    own[index, key] = None
        self._pass_on()

    def _visit_fields(self, database: Database, ends: int) -> bool:
        """Delete fields of hashes whose time has come, the earliest first; False when there may be more of them."""
        keyspace = self._keyspace
        deadlines = database.field_deadlines
        while deadlines.times:
            if self._clock.perf_ns() > ends:
                return False
            due = deadlines.take_due(keyspace.now_ms, 1)
            if not due:
                break
            key = due[0]
            value = database.shards[slot_of(key)].get(key)
            if type(value) is not Hash or value.expiry is None:
                continue
            fields = value.expiry.take_due(keyspace.now_ms, FIELDS_PER_PORTION)
            if fields:
                keyspace.expire_fields(database, key, value, fields)
            else:
                database.await_fields(key, value)
        return True

    def _visit(self, database: Database) -> tuple[int, int]:
        """Look at some volatile keys, from the cursor on; returns how many were seen and how many deleted."""
        wanted = _KEYS_PER_LOOP + _KEYS_PER_EFFORT * (self.effort - 1)
        now_ms = self._keyspace.now_ms
        slot = self._cursors.get(database.index, 0)
        sampled = expired = 0
        ttl_sum = 0
        for _ in range(_SLOTS_PER_LOOP):
            expires = database.expires[slot]
            if expires is not None:
                # What was looked at and lives goes to the end of the dict, so that the next visit sees others.
                part = min(max(wanted - sampled, len(expires) // 64), _KEYS_PER_VISIT_MAX)
                due = []
                for key, when in list(itertools.islice(expires.items(), part)):
                    sampled += 1
                    if when < now_ms:
                        due.append(key)
                    else:
                        ttl_sum += when - now_ms
                        del expires[key]
                        expires[key] = when
                for key in due:
                    database.expire_now(key)
                expired += len(due)
                if len(due) == part:
                    # All of the part had expired: the rest of this slot comes before the next one.
                    break
            slot = (slot + 1) % SLOTS
            if sampled >= wanted:
                break
        self._cursors[database.index] = slot
        alive = sampled - expired
        if alive:
            average = ttl_sum / alive
            database.avg_ttl_ms = average if not database.avg_ttl_ms else 0.98 * database.avg_ttl_ms + 0.02 * average
        return sampled, expired
