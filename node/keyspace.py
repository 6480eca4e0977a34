"""All databases of a node (`node.database`), and what is counted and known over all of them."""

from __future__ import annotations

from binascii import crc_hqx
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from cluster.slots import key_slot
from node.database import DELETE_EXPIRED, Database, Watcher, slot_of
from node.effects import Effects
from node.memory.access import Uses
from node.notifications import EVICTED, EXPIRED, GENERIC, HASH, Notifier
from node.structures.hashes import Hash
from node.structures.limits import CompactLimits


class FunctionStore(Protocol):
    """The libraries of functions, as snapshots see them."""

    def sources(self) -> list[bytes]:
        """What makes all of them again."""
        ...

    def load(self, source: bytes, *, replace: bool) -> bytes:
        """Make one; raises Error."""
        ...

    def clear(self) -> None: ...

    def restore(self, sources: list[bytes], *, replace: bool, clear: bool) -> None:
        """Make all of these, in the place of the others if told to `clear`; raises Error, and then all is as before."""
        ...


class Keyspace:
    """All databases of a node, and what is counted over all of them."""

    __slots__ = (
        "_databases",
        "_tag",
        "_tag_slot",
        "accounted",
        "bury",
        "count",
        "dirty",
        "effects",
        "evicted_keys",
        "expired_fields",
        "expired_keys",
        "expiry",
        "functions",
        "hits",
        "key",
        "limits",
        "metered",
        "misses",
        "notifier",
        "now_ms",
        "observer",
        "own_volatile",
        "slot",
        "tracker",
        "turn_before_ms",
        "turn_ms",
        "uses",
    )

    def __init__(self, count: int, notifier: Notifier) -> None:
        # `databases`; each is made when it is first used, since an empty one has 16,384 dicts too.
        self.count = count
        self._databases: dict[int, Database] = {}
        self.notifier = notifier
        # The key that the executor looked at last, and its slot: whoever is given this very object need not compute
        # the slot again.
        self.key = b""
        self.slot = 0
        # The last hash tag that was met, with what stands before it, and its slot: tags come in crowds.
        self._tag = b"{0}"
        self._tag_slot = key_slot(self._tag)
        # Changes so far; grows with every write (`rdb_changes_since_last_save` is a difference of it).
        self.dirty = 0
        # Unix time in milliseconds, taken once for every batch of commands: a whole EXEC shares one time.
        self.now_ms = 0
        # When clients' commands were last executed, and when they were before that.
        self.turn_ms = self.turn_before_ms = 0
        # What to do with logically expired keys: one of the three modes above.
        self.expiry = DELETE_EXPIRED
        # Keys that clients of a writable replica have let expire, as (database, key): no DEL of its master's will come
        # for them. In the order in which active expiry looks at them.
        self.own_volatile: OrderedDict[tuple[int, bytes], None] = OrderedDict()
        # Commands to propagate beside or instead of the one that runs: (database, argv), in order.
        self.effects: Effects = []
        # Up to what size collections that are loaded are compact.
        self.limits = CompactLimits()
        # Libraries of functions are part of the data; scripting puts its own here.
        self.functions: FunctionStore | None = None
        # Who is told of every change of any key.
        self.observer: Watcher | None = None
        # Who is told of every change of a key that has `Database.readers`.
        self.tracker: Watcher | None = None
        # Whether the databases keep an account of what their keys take, and how they note uses, if they do.
        self.accounted = False
        self.uses: Uses | None = None
        # Whether either is kept.
        self.metered = False
        # Takes what is too large to be freed at once, with the number of keys it stands for (`node.memory.freeing`).
        self.bury: Callable[[object, int], None] | None = None
        self.hits = 0
        self.misses = 0
        self.expired_keys = 0
        self.expired_fields = 0
        self.evicted_keys = 0

    def slot_of(self, key: bytes) -> int:
        """The hash slot of `key`; see the function of the same name."""
        if 123 not in key:
            return crc_hqx(key, 0) & 16383
        if key.startswith(self._tag):
            return self._tag_slot
        slot = key_slot(key)
        end = key.find(b"}", key.find(b"{") + 1)
        if end > 0 and key[end - 1] != 123:
            self._tag = key[: end + 1]
            self._tag_slot = slot
        return slot

    def database(self, index: int) -> Database:
        """Database `index`; raises IndexError beyond the configured count."""
        database = self._databases.get(index)
        if database is None:
            if not 0 <= index < self.count:
                raise IndexError(index)
            database = self._databases[index] = Database(index, self)
        return database

    def observe(self, observer: Watcher | None) -> None:
        """Tell `observer` of every change of any key, or nobody any more."""
        self.observer = observer
        for database in self.databases():
            database.keep()

    def notify(self, kinds: int) -> None:
        """Publish events of these kinds from now on (`node.notifications`)."""
        self.notifier.choose(kinds)
        for database in self.databases():
            database.keep()

    def databases(self) -> list[Database]:
        """Those in use so far, by number."""
        databases = self._databases
        # One in a cluster, and nearly always: asked for at every beat of the clockwork.
        return list(databases.values()) if len(databases) == 1 else [databases[index] for index in sorted(databases)]

    def swap(self, one: Database, two: Database) -> None:
        """SWAPDB: exchange the contents of two databases; watches on keys that exist in either break."""
        _exchange(one, two)

    def adopt(self, other: Keyspace) -> None:
        """Exchange all contents with another keyspace; watches on keys that exist in either break."""
        for index in sorted({*self._databases, *other._databases}):
            _exchange(self.database(index), other.database(index))

    def keep(self, *, accounted: bool, uses: Uses | None) -> None:
        """From now on databases keep an account or do not, and note uses in this way (None: not at all)."""
        self.accounted = accounted
        self.uses = uses
        self.metered = accounted or uses is not None
        for database in self.databases():
            database.keep()

    def is_empty(self) -> bool:
        return all(not database.size for database in self._databases.values())

    def clear(self) -> int:
        """Remove everything from every database; returns how many keys there were."""
        return sum(database.clear() for database in self.databases())

    def expire(self, database: Database, key: bytes) -> None:
        """Delete a logically expired key, and tell whoever must know."""
        database.remove(key)
        self.dirty -= 1  # an expiry is no change of a client's making
        self.expired_keys += 1
        self.effects.append((database.index, (b"DEL", key)))
        self.notifier.notify(EXPIRED, b"expired", key, database.index)

    def evict(self, database: Database, key: bytes, verb: bytes) -> None:
        """Delete `key` because memory is short, and tell whoever must know; `verb` is what replicas and the log get."""
        database.remove(key)
        self.dirty -= 1  # no change of a client's making
        self.evicted_keys += 1
        self.effects.append((database.index, (verb, key)))
        self.notifier.notify(EVICTED, b"evicted", key, database.index)

    def delete_fields(self, database: Database, key: bytes, hash_: Hash, fields: list[bytes]) -> None:
        """Delete fields of the hash at `key` because their time has passed; the command does the rest."""
        hash_.remove(fields)
        self.expired_fields += len(fields)
        # Like Redis, one by one.
        self.effects += [(database.index, (b"HDEL", key, field)) for field in fields]

    def expire_fields(self, database: Database, key: bytes, hash_: Hash, fields: list[bytes]) -> bool:
        """Delete fields whose time has passed, one at least, and tell whoever must know; False if none is left."""
        self.delete_fields(database, key, hash_, fields)
        self.notifier.notify(HASH, b"hexpired", key, database.index)
        if len(hash_):
            database.await_fields(key, hash_)
            database.changed(key, 0)
            return True
        database.remove(key)
        self.dirty -= 1
        self.notifier.notify(GENERIC, b"del", key, database.index)
        return False

    def missed(self, database: Database, key: bytes) -> None:
        self.misses += 1
        if self.notifier.flags:
            self.notifier.missed(key, database.index)


def _exchange(one: Database, two: Database) -> None:
    """Exchange the contents of two databases, but not who watches them."""
    watched = [
        (database, key)
        for database, other in ((one, two), (two, one))
        for key in database.attended_keys()
        if key in database.shards[slot_of(key)] or key in other.shards[slot_of(key)]
    ]
    one.shards, two.shards = two.shards, one.shards
    one.expires, two.expires = two.expires, one.expires
    one.occupied, two.occupied = two.occupied, one.occupied
    one.lots, two.lots = two.lots, one.lots
    one.size, two.size = two.size, one.size
    one.volatile, two.volatile = two.volatile, one.volatile
    one.field_deadlines, two.field_deadlines = two.field_deadlines, one.field_deadlines
    one.avg_ttl_ms, two.avg_ttl_ms = two.avg_ttl_ms, one.avg_ttl_ms
    one.account, two.account = two.account, one.account
    one.clocks, two.clocks = two.clocks, one.clocks
    for database in (one, two):
        if database.account is not None:
            database.account.move_to(database)
        database._attend()
    for database, key in watched:
        database._break_watches(key)
