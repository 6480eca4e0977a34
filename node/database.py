"""One numbered database: 16,384 small dicts, and the only code that writes to them.

A key lives in the dict of its hash slot, in cluster mode and outside it. No dict grows so large that
enlarging it stalls the server, and counting, listing, sampling, flushing or moving one slot touches only that
slot. Strings are `bytes` (stored whole) or `bytearray` (changed in place since: Redis' ``raw`` encoding); the
other types are objects of `node.structures` with a `kind` (TYPE), an `encoding` (OBJECT) and a `copy()` (COPY).

Times to live are kept apart, as absolute Unix milliseconds. A key whose time has passed is *logically*
expired: a master deletes it when it is met and tells its replicas; a replica only hides it and waits for its
master's word; a command that comes from the master sees it as existing (expiry fact sheet, section 1.1).
"""

from __future__ import annotations

from binascii import crc_hqx
from collections import OrderedDict
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cluster.slots import SLOTS, key_slot
from node.lots import Lots
from node.memory.access import Clocks
from node.memory.account import DatabaseAccount
from node.structures.deadlines import Deadlines
from node.structures.hashes import Hash
from wire.errors import WRONGTYPE, Error

if TYPE_CHECKING:
    from node.keyspace import Keyspace
    from node.session import NodeSession
    from node.structures import Structure

Value = Any
S = TypeVar("S", bound="Structure")

# How logically expired keys are treated.
DELETE_EXPIRED = 0  # a master
HIDE_EXPIRED = 1  # a replica, or a master whose clients are paused
SEE_EXPIRED = 2  # while a command from our master runs, and while loading

# Values with more elements, and databases with more keys, are not freed at once.
BURIED_FROM = 512


def slot_of(key: bytes) -> int:
    """The hash slot of `key`; the hash tag counts outside cluster mode too, which harms nobody."""
    return crc_hqx(key, 0) & 16383 if 123 not in key else key_slot(key)


def _empty_shards(count: int) -> list[dict[bytes, Value]]:
    """Dicts that the garbage collector knows of, and has looked at, before they are large.

    The interpreter leaves one alone as long as it holds nothing that could be part of a circle. With the first hash
    among a thousand strings it would be new to the collector, which would look through all of it, twice: in a database
    of millions of strings that stops the server for as long as a scan of them all, in a few pieces.
    """
    anything: list[bytes] = []
    shards: list[dict[bytes, Value]] = [{b"": anything} for _ in range(count)]
    for shard in shards:
        shard.clear()
    return shards


class Watcher(Protocol):
    """Who wants to know when a key changes."""

    def touched(self, database: Database, key: bytes, *, gone: bool) -> None:
        """`key` was changed, `gone` when it is not there now, or expired. The keyspace must not be changed in here."""
        ...


class Database:
    """One numbered database."""

    __slots__ = (
        "_space",
        "account",
        "attended",
        "avg_ttl_ms",
        "clocks",
        "expires",
        "field_deadlines",
        "index",
        "looks_closer",
        "lots",
        "occupied",
        "readers",
        "shards",
        "size",
        "volatile",
        "watchers",
    )

    def __init__(self, index: int, space: Keyspace) -> None:
        self.index = index
        self._space = space
        # Values by key, a dict a slot.
        self.shards = _empty_shards(SLOTS)
        # Unix milliseconds by key, a dict a slot, made with the slot's first volatile key.
        self.expires: list[dict[bytes, int] | None] = [None] * SLOTS
        # A 1 for each slot with keys, and for some that were emptied (`next_slot`).
        self.occupied = bytearray(SLOTS)
        # For `random_key`.
        self.lots = Lots()
        # Keys, and keys with a time to live.
        self.size = 0
        self.volatile = 0
        # Keys of hashes with fields that expire, each due not later than its first field. What SET with
        # KEEPTTL put another value for is dropped when its time comes.
        self.field_deadlines = Deadlines()
        # For INFO keyspace: a running mean kept by active expiry.
        self.avg_ttl_ms = 0.0
        # Who is told of every change of a key: sessions that WATCH it, and the queues of clients that block on it.
        self.watchers: dict[bytes, dict[Watcher, None]] = {}
        # Keys that tracking clients have read, in that order, each with its readers (`node.tracking`); None: no keys.
        self.readers: OrderedDict[bytes, dict[NodeSession, None]] | None = None
        # What the keys take, while there is a limit, and when they were used, while somebody wants to know.
        self.account: DatabaseAccount | None = None
        self.clocks: Clocks | None = None
        # All that a writer tests: whether any of the four above, an observer of all keys, or a subscriber to keyspace
        # events may have to be told.
        self.attended = False
        # All that a look-up tests: whether some key is volatile, or uses are noted.
        self.looks_closer = False
        self.keep()

    def keep(self) -> None:
        """Keep, or stop keeping, an account and notes of use, as the keyspace says."""
        space = self._space
        if not space.accounted:
            self.account = None
        elif self.account is None:
            self.account = DatabaseAccount(self)
        if space.uses is None:
            self.clocks = None
        elif self.clocks is None or self.clocks.uses is not space.uses:
            self.clocks = Clocks(space.uses)
        self._attend()

    def _attend(self) -> None:
        self.attended = (
            bool(self.watchers)
            or self.readers is not None
            or self._space.observer is not None
            or self._space.notifier.flags != 0
            or self.account is not None
            or self.clocks is not None
        )
        self.looks_closer = self.volatile > 0 or self.clocks is not None

    # Reading

    def get(self, key: bytes) -> Value | None:
        """The live value of `key`, without counting a hit or a miss; None when there is none."""
        space = self._space
        slot = space.slot if key is space.key else space.slot_of(key)
        value = self.shards[slot].get(key)
        if value is not None and self.looks_closer:
            expires = self.expires[slot]
            if expires is not None:
                when = expires.get(key)
                if when is not None and when < self._space.now_ms and self._expire(key):
                    return None
            if self.clocks is not None:
                self.clocks.note(slot, key)
        return value

    def peek(self, key: bytes) -> Value | None:
        """Like `get`, for a command that only asks about the key: that is no use of it."""
        uses = self._space.uses
        if uses is None or uses.quiet:
            return self.get(key)
        uses.quiet = True
        try:
            return self.get(key)
        finally:
            uses.quiet = False

    def peek_counted(self, key: bytes) -> Value | None:
        """Like `peek`, counted as `read` counts."""
        value = self.peek(key)
        if value is None:
            self._space.missed(self, key)
        else:
            self._space.hits += 1
        return value

    def read(self, key: bytes) -> Value | None:
        """Like `get`, for a command that reads: counted for INFO, and a miss is notified."""
        value = self.get(key)
        if value is None:
            self._space.missed(self, key)
        else:
            self._space.hits += 1
        return value

    def read_each(self, keys: list[bytes]) -> list[Value | None]:
        """What `read` gives for each of `keys`."""
        if self.looks_closer:
            return [self.read(key) for key in keys]
        space = self._space
        crc, shards, slot_of = crc_hqx, self.shards, space.slot_of
        found = [shards[crc(key, 0) & 16383 if 123 not in key else slot_of(key)].get(key) for key in keys]
        missing = found.count(None)
        space.hits += len(found) - missing
        if missing:
            for key, value in zip(keys, found, strict=True):
                if value is None:
                    space.missed(self, key)
        return found

    def read_string(self, key: bytes) -> bytes | bytearray | None:
        """The string at `key`; raises WRONGTYPE for any other type."""
        # The body of `get`, written out: on the commonest road a call costs as much as the look-up.
        space = self._space
        slot = space.slot if key is space.key else space.slot_of(key)
        value: Value | None = self.shards[slot].get(key)
        if self.looks_closer and value is not None:
            expires = self.expires[slot]
            if expires is not None:
                when = expires.get(key)
                if when is not None and when < space.now_ms and self._expire(key):
                    value = None
            if self.clocks is not None and value is not None:
                self.clocks.note(slot, key)
        if type(value) is bytes or type(value) is bytearray:
            space.hits += 1
        elif value is None:
            space.missed(self, key)
        else:
            raise Error(WRONGTYPE)
        return value

    def get_string(self, key: bytes) -> bytes | bytearray | None:
        """The string at `key` for a command that is about to write it; raises WRONGTYPE."""
        value = self.get(key)
        if value is not None and type(value) is not bytes and type(value) is not bytearray:
            raise Error(WRONGTYPE)
        return value

    def read_as(self, key: bytes, kind: type[S]) -> S | None:
        """The structure at `key` for a command that reads: counted, a miss notified; raises WRONGTYPE."""
        # The body of `get`, as in `read_string`.
        space = self._space
        slot = space.slot if key is space.key else space.slot_of(key)
        value: Value | None = self.shards[slot].get(key)
        if self.looks_closer and value is not None:
            expires = self.expires[slot]
            if expires is not None:
                when = expires.get(key)
                if when is not None and when < space.now_ms and self._expire(key):
                    value = None
            if self.clocks is not None and value is not None:
                self.clocks.note(slot, key)
        if value is None:
            space.missed(self, key)
            return None
        space.hits += 1
        if type(value) is not kind:
            raise Error(WRONGTYPE)
        return value

    def get_as(self, key: bytes, kind: type[S]) -> S | None:
        """The structure at `key` for a command that is about to write it; raises WRONGTYPE."""
        # The body of `get`, as in `read_string`.
        space = self._space
        slot = space.slot if key is space.key else space.slot_of(key)
        value: Value | None = self.shards[slot].get(key)
        if self.looks_closer and value is not None:
            expires = self.expires[slot]
            if expires is not None:
                when = expires.get(key)
                if when is not None and when < space.now_ms and self._expire(key):
                    return None
            if self.clocks is not None:
                self.clocks.note(slot, key)
        if value is None or type(value) is kind:
            return value
        raise Error(WRONGTYPE)

    def expire_time(self, key: bytes) -> int | None:
        """When `key` expires, in Unix milliseconds; None when it is not volatile (or does not exist)."""
        if not self.volatile:
            return None
        expires = self.expires[slot_of(key)]
        return None if expires is None else expires.get(key)

    def is_expired(self, key: bytes) -> bool:
        """Whether `key` is there but logically expired; changes nothing."""
        when = self.expire_time(key)
        return when is not None and when < self._space.now_ms

    def is_alive(self, key: bytes) -> bool:
        """Whether `key` is there and has not logically expired; changes nothing."""
        return key in self.shards[slot_of(key)] and not self.is_expired(key)

    def hidden(self, key: bytes) -> bool:
        """Whether a listing must leave `key` out: logically expired, and not seen as existing at the moment."""
        return self.volatile > 0 and self._space.expiry != SEE_EXPIRED and self.is_expired(key)

    def holds(self, key: bytes) -> bool:
        """Whether `key` is there, logically expired or not; no use of it."""
        return key in self.shards[slot_of(key)]

    def keys_in_slot(self, slot: int) -> Iterator[bytes]:
        """The slot's keys, most recently added first, logically expired ones included."""
        return reversed(self.shards[slot])

    def visible_in_slot(self, slot: int) -> list[bytes]:
        """The slot's keys without those that a listing must leave out (`hidden`)."""
        shard, expires = self.shards[slot], self.expires[slot]
        if expires is None or self._space.expiry == SEE_EXPIRED:
            return list(shard)
        time_of, now_ms = expires.get, self._space.now_ms
        return [key for key in shard if time_of(key, now_ms) >= now_ms]

    def next_slot(self, start: int) -> int:
        """The first slot from `start` on that has keys; SLOTS when none has."""
        occupied, shards = self.occupied, self.shards
        slot = occupied.find(1, start)
        while slot >= 0:
            if shards[slot]:
                return slot
            occupied[slot] = 0
            slot = occupied.find(1, slot + 1)
        return SLOTS

    def __iter__(self) -> Iterator[bytes]:
        """All keys, by slot, logically expired ones included. The database must not change meanwhile."""
        for slot in self.filled_slots():
            yield from self.shards[slot]

    def filled_slots(self) -> Iterator[int]:
        """The slots that have keys, ascending. The database must not change meanwhile."""
        slot = self.next_slot(0)
        while slot < SLOTS:
            yield slot
            slot = self.next_slot(slot + 1)

    def random_key(self, chance: Random) -> bytes:
        """One of the keys (there must be some), logically expired or not, each as likely as the others."""
        return self.lots.draw(self, self._space.dirty, chance)

    # Writing

    def put(self, key: bytes, value: Value) -> None:
        """Store `value` under `key` and drop its time to live; a logically expired key is expired first."""
        space = self._space
        if key is space.key:
            slot = space.slot
        else:
            slot = crc_hqx(key, 0) & 16383 if 123 not in key else space.slot_of(key)
        if self.volatile:
            self._end_expiry(slot, key)
        shard = self.shards[slot]
        old = shard.get(key)
        shard[key] = value
        if old is None:
            self.size += 1
            self.occupied[slot] = 1
            if space.notifier.flags:
                space.notifier.created(key, self.index)
        elif type(old) is not bytes:
            if type(old) is Hash and old.expiry is not None:
                self.field_deadlines.forget(key)
            if len(old) > BURIED_FROM and space.bury is not None:
                space.bury(old, 1)
        space.dirty += 1
        if self.attended:
            if self.clocks is not None and old is not None:
                self.clocks.note(slot, key)
            self._tell(key)

    def load(self, key: bytes, value: Value, expire_at_ms: int | None) -> bool:
        """Take over a key from a file or a master's copy: no change, no event. False when it is there already."""
        slot = crc_hqx(key, 0) & 16383 if 123 not in key else key_slot(key)
        shard = self.shards[slot]
        if key in shard:
            return False
        shard[key] = value
        self.size += 1
        self.occupied[slot] = 1
        if expire_at_ms is not None:
            self.set_expire_time(key, expire_at_ms)
        if type(value) is Hash:
            self.await_fields(key, value)
        if self.attended:
            self._tell(key)
        return True

    def replace(self, key: bytes, value: Value) -> None:
        """Store `value` under `key` and keep its time to live."""
        space = self._space
        slot = space.slot if key is space.key else space.slot_of(key)
        shard = self.shards[slot]
        before = len(shard)
        shard[key] = value
        if len(shard) != before:
            self.size += 1
            self.occupied[slot] = 1
            if space.notifier.flags:
                space.notifier.created(key, self.index)
        space.dirty += 1
        if self.attended:
            self._tell(key)

    def unshare_string(self, key: bytes) -> bytearray:
        """The existing string at `key`, kept from now on as one that is changed in place; no change by itself."""
        space = self._space
        shard = self.shards[space.slot if key is space.key else space.slot_of(key)]
        value = shard[key]
        if type(value) is not bytearray:
            value = shard[key] = bytearray(value)
        return value

    def changed(self, key: bytes, count: int = 1) -> None:
        """The value at `key` was changed in place, in `count` ways (what `dirty` and `save` points count)."""
        self._space.dirty += count
        if self.attended:
            self._tell(key)

    def delete(self, key: bytes) -> bool:
        """Remove `key`; False when it does not exist. A logically expired key is expired first, as Redis does."""
        if self.volatile and self._space.expiry != SEE_EXPIRED and self.is_expired(key) and self._expire(key):
            return False
        return self.remove(key)

    def remove(self, key: bytes) -> bool:
        """Take `key` out, logically expired or not."""
        slot = slot_of(key)
        value = self.shards[slot].pop(key, None)
        if value is None:
            return False
        self.size -= 1
        if self.volatile:
            self._forget_expiry(slot, key)
        space = self._space
        space.dirty += 1
        if type(value) is not bytes:
            if type(value) is Hash and value.expiry is not None:
                self.field_deadlines.forget(key)
            if len(value) > BURIED_FROM and space.bury is not None:
                space.bury(value, 1)
        if self.attended:
            self._tell(key)
        return True

    def set_expire_time(self, key: bytes, when_ms: int) -> None:
        """Let the existing `key` expire at `when_ms`."""
        slot = slot_of(key)
        expires = self.expires[slot]
        if expires is None:
            expires = self.expires[slot] = {}
        if key not in expires:
            self.volatile += 1
            self.looks_closer = True
        expires[key] = when_ms
        if self._space.expiry == HIDE_EXPIRED:
            self._space.own_volatile[self.index, key] = None

    def await_fields(self, key: bytes, value: Value) -> None:
        """If `value` is a hash with fields that expire, have active expiry look at `key` when the first one does."""
        if type(value) is Hash and value.expiry is not None:
            first_ms = value.expiry.first_ms()
            if first_ms is None:
                self.field_deadlines.forget(key)
                return
            awaited_ms = self.field_deadlines.times.get(key)
            if awaited_ms is None or awaited_ms > first_ms:
                self.field_deadlines.set(key, first_ms)

    def persist(self, key: bytes) -> bool:
        """Drop the time to live of `key`; False when it has none."""
        return self.volatile > 0 and self._forget_expiry(slot_of(key), key)

    def clear(self) -> int:
        """Remove everything; returns how many keys there were. Watches on keys that existed break."""
        removed = self.size
        watched = [key for key in self.attended_keys() if key in self.shards[slot_of(key)]]
        if removed > BURIED_FROM and self._space.bury is not None:
            self._space.bury(self.shards, removed)
            self._space.bury(self.expires, 0)
        if removed:
            # One that was empty keeps its empty parts: FLUSHALL would spend two milliseconds on each database.
            self.shards = _empty_shards(SLOTS)
            self.expires = [None] * SLOTS
            self.occupied = bytearray(SLOTS)
            self.lots = Lots()
        self.size = self.volatile = 0
        self.account = self.clocks = None
        self.keep()
        self.field_deadlines = Deadlines()
        self.avg_ttl_ms = 0.0
        for key in watched:
            self._break_watches(key)
        return removed

    def drop_slot(self, slot: int) -> int:
        """Remove the keys of one slot (it moved away); returns how many there were."""
        shard = self.shards[slot]
        removed = len(shard)
        if removed:
            watched = self._attended_among(shard)
            if removed > BURIED_FROM and self._space.bury is not None:
                self._space.bury(shard, removed)
            if self.field_deadlines.times:
                for key in shard:
                    self.field_deadlines.forget(key)
            self.shards[slot] = _empty_shards(1)[0]
            self.size -= removed
            expires = self.expires[slot]
            if expires is not None:
                self.volatile -= len(expires)
                self.expires[slot] = None
            if self.account is not None:
                self.account.drop_slot(slot)
            if self.clocks is not None:
                self.clocks.drop_slot(slot)
            self._attend()
            for key in watched:
                self._break_watches(key)
        return removed

    def set_use(self, key: bytes, idle_s: int | None, frequency: int | None) -> None:
        """How long `key` was idle, or how often used, where it comes from; what is not noted here is ignored."""
        clocks = self.clocks
        if clocks is not None:
            entry = clocks.uses.imported(idle_s, frequency)
            if entry is not None:
                clocks.set(slot_of(key), key, entry)

    # Watching

    def watch(self, key: bytes, watcher: Watcher) -> None:
        self.watchers.setdefault(key, {})[watcher] = None
        self.attended = True

    def unwatch(self, key: bytes, watcher: Watcher) -> None:
        watchers = self.watchers.get(key)
        if watchers is not None:
            watchers.pop(watcher, None)
            if not watchers:
                del self.watchers[key]
                self._attend()

    def remember(self, readers: OrderedDict[bytes, dict[NodeSession, None]] | None) -> None:
        """Tell of changes of the keys that are in `readers` then; None: of none any more."""
        self.readers = readers
        self._attend()

    def attended_keys(self) -> list[bytes]:
        """Those of which somebody in particular wants to know when they change."""
        return [*self.watchers, *(self.readers or ())]

    def _attended_among(self, shard: dict[bytes, Value]) -> list[bytes]:
        """The same of the keys of one slot."""
        watchers = self.watchers
        readers: dict[bytes, dict[NodeSession, None]] = {} if self.readers is None else self.readers
        if len(watchers) + len(readers) < len(shard):
            return [key for key in self.attended_keys() if key in shard]
        return [key for key in shard if key in watchers or key in readers]

    def _tell(self, key: bytes) -> None:
        """`key` was changed, or is gone: tell whoever attends to the database."""
        if self.clocks is not None:
            slot = slot_of(key)
            self.clocks.written(slot, key, there=key in self.shards[slot])
        if self.account is not None:
            self.account.written(key)
        if self.watchers or self.readers is not None or self._space.observer is not None:
            self._break_watches(key)

    def _break_watches(self, key: bytes) -> None:
        observer = self._space.observer
        if observer is not None:
            observer.touched(self, key, gone=False)
        readers, tracker = self.readers, self._space.tracker
        if readers is not None and tracker is not None and key in readers:
            tracker.touched(self, key, gone=False)
        watchers = self.watchers.get(key)
        if watchers is not None:
            gone = not self.is_alive(key)
            for watcher in watchers:
                watcher.touched(self, key, gone=gone)

    # Expiry

    def expire_now(self, key: bytes) -> None:
        """Delete the logically expired `key` on a master's own authority (active expiry)."""
        self._space.expire(self, key)

    def _expire(self, key: bytes) -> bool:
        """`key` was met after its time: True when it is to be treated as missing."""
        mode = self._space.expiry
        if mode == SEE_EXPIRED:
            return False
        if mode == DELETE_EXPIRED:
            self._space.expire(self, key)
        return True

    def _end_expiry(self, slot: int, key: bytes) -> None:
        """`key` is about to be overwritten: what had expired before goes first, as a deletion of its own."""
        expires = self.expires[slot]
        if expires is None:
            return
        when = expires.get(key)
        if when is not None:
            if when < self._space.now_ms:
                self._expire(key)
            self._forget_expiry(slot, key)

    def _forget_expiry(self, slot: int, key: bytes) -> bool:
        expires = self.expires[slot]
        if expires is None or expires.pop(key, None) is None:
            return False
        self.volatile -= 1
        if not expires:
            self.expires[slot] = None
        if not self.volatile:
            self._attend()
        return True
