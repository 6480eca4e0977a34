"""Loading an RDB into the keyspace: at start from the disk, on a replica from its master.

Loads in slices and lets the loop run in between, so that clients are answered -LOADING, and the cluster's
heartbeats are answered at all, however much there is to load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.database import SEE_EXPIRED
from node.gates import ASYNC_LOADING, LOADING, Conditions
from node.keyspace import Keyspace
from node.persistence.arriving import Arriving
from node.persistence.rdb_errors import RdbError
from node.persistence.rdb_module import refusal
from node.persistence.rdb_reader import HEADER_SIZE, RdbReader
from node.persistence.rdb_types import Value
from node.persistence.settings import SnapshotSettings, delay_s
from node.persistence.snapshot import ReplicationMark
from runtime import Runtime
from wire.errors import Error

# Entries between two turns of the loop: a few milliseconds' worth.
_SLICE = 2000
# With `key-load-delay` that many microseconds' worth.
_SLICE_DELAY_US = 10_000


# So many keys without elements are named in the log.
_EMPTY_SHOWN = 10


class RdbTooManyDatabasesError(RdbError):
    """The file was written by a server with more databases."""

    @property
    def lines(self) -> list[str]:
        return [f"FATAL: {self.reason}. Exiting"]


class KeyspaceTarget:
    """Puts what a reader reads into the keyspace (an `RdbTarget`)."""

    __slots__ = (
        "_database",
        "_drop_before_ms",
        "_keyspace",
        "_merge",
        "_remarks",
        "empty_keys",
        "expired",
        "keys_expired",
        "keys_loaded",
        "modules",
        "modules_aux",
    )

    def __init__(self, keyspace: Keyspace, drop_before_ms: int | None, *, merge: bool = False) -> None:
        self._keyspace = keyspace
        # A master leaves out keys that expired before now; a replica keeps them (None) until its master's word.
        self._drop_before_ms = drop_before_ms
        # Whether a key may be there already, and is replaced then.
        self._merge = merge
        self._database = keyspace.database(0)
        self._remarks: dict[bytes, bytes] = {}
        self.keys_loaded = 0
        self.keys_expired = 0
        # What was left out, by database: replicas that continue with us still have it.
        self.expired: list[tuple[int, bytes]] = []
        # Keys without elements, which were left out.
        self.empty_keys: list[bytes] = []
        # The types of modules whose data were passed over, and how many keys of each.
        self.modules: dict[str, int] = {}
        # The modules that had left something beside the data, in order of the file.
        self.modules_aux: dict[str, None] = {}

    @property
    def used_memory(self) -> int:
        """What the server that wrote the file had in use; 0 when it does not say."""
        return max(_integer(self._remarks.get(b"used-mem")) or 0, 0)

    @property
    def mark(self) -> ReplicationMark | None:
        """The replication state that the file was written in."""
        replid = self._remarks.get(b"repl-id", b"")
        offset = _integer(self._remarks.get(b"repl-offset"))
        database = _integer(self._remarks.get(b"repl-stream-db"))
        if len(replid) != 40 or offset is None or offset < 0:
            return None
        return ReplicationMark(replid, offset, database or 0)

    def aux(self, key: bytes, value: bytes) -> None:
        self._remarks[key] = value

    def function(self, source: bytes) -> None:
        try:
            if self._keyspace.functions is not None:
                self._keyspace.functions.load(source, replace=self._merge)
        except Error as error:
            raise RdbError(f"Failed loading function: {error.text.decode('utf-8', 'replace')}") from None

    def select(self, index: int) -> None:
        count = self._keyspace.count
        if index >= count:
            raise RdbTooManyDatabasesError(
                f"Data file was created with a Redis server configured to handle more than {count} databases"
            )
        self._database = self._keyspace.database(index)

    def entry(self, key: bytes, value: Value, expire_at_ms: int | None) -> None:
        drop_before_ms = self._drop_before_ms
        if expire_at_ms is not None and drop_before_ms is not None and expire_at_ms < drop_before_ms:
            self.keys_expired += 1
            self.expired.append((self._database.index, key))
            return
        if self._merge:
            self._database.remove(key)
        if not self._database.load(key, value, expire_at_ms):
            shown = key.decode("utf-8", "replace")
            raise RdbError(f"RDB has duplicated key '{shown}' in DB {self._database.index}")
        self.keys_loaded += 1

    def empty(self, key: bytes) -> None:
        self.empty_keys.append(key)

    def used(self, key: bytes, idle_s: int | None, frequency: int | None) -> None:
        if self._database.holds(key):
            self._database.set_use(key, idle_s, frequency)

    def module(self, type_name: str, key: bytes | None) -> None:
        if key is None:
            self.modules_aux[type_name] = None
        else:
            self.modules[type_name] = self.modules.get(type_name, 0) + 1


class _Sources:
    """Libraries that are not to be made yet (a `FunctionStore`)."""

    __slots__ = ("_sources",)

    def __init__(self) -> None:
        self._sources: list[bytes] = []

    def sources(self) -> list[bytes]:
        return self._sources

    def load(self, source: bytes, *, replace: bool) -> bytes:  # noqa: ARG002 - replaced are those of others
        self._sources.append(source)
        return b""

    def clear(self) -> None:
        self._sources.clear()

    def restore(self, sources: list[bytes], *, replace: bool, clear: bool) -> None:
        if clear:
            self.clear()
        for source in sources:
            self.load(source, replace=replace)


class Loader:
    """Loads, one file or copy at a time, and says how far it has come."""

    __slots__ = (
        "_conditions",
        "_keyspace",
        "_runtime",
        "_settings",
        "_update_expiry_mode",
        "active",
        "keys_expired",
        "keys_loaded",
        "loaded",
        "loaded_bytes",
        "serving",
        "started_at_s",
        "target",
        "total_bytes",
    )

    def __init__(
        self,
        settings: SnapshotSettings,
        runtime: Runtime,
        keyspace: Keyspace,
        conditions: Conditions,
        update_expiry_mode: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._keyspace = keyspace
        self._conditions = conditions
        # Sets again how expired keys are treated, which depends on the node's role; while loading they are seen.
        self._update_expiry_mode = update_expiry_mode
        # For INFO: whether something is being loaded, since when (Unix seconds), how much, and how far.
        self.active = False
        # Whether clients are served from other data meanwhile.
        self.serving = False
        self.started_at_s = 0
        self.total_bytes = 0
        self.loaded_bytes = 0
        # Where what is loaded goes; None before the first snapshot, and while commands are repeated.
        self.target: KeyspaceTarget | None = None
        # Called with every set of data that has been loaded: whoever runs the node has its process settle.
        self.loaded: Callable[[], None] = lambda: None
        # Of the last load.
        self.keys_loaded = 0
        self.keys_expired = 0

    async def load(
        self,
        data: bytes,
        *,
        drop_expired: bool,
        checked: bool = False,
        after_slice: Callable[[], None] = lambda: None,
    ) -> KeyspaceTarget:
        """Load the RDB `data` into the keyspace, which must be empty; returns what it said beside the data. `checked`:
        its checksum is known to be right.

        Raises RdbError; part of the data is in the keyspace then. `after_slice` is called every few milliseconds.
        """
        target = KeyspaceTarget(self._keyspace, self._runtime.clock.wall_ms() if drop_expired else None)
        self.drop_functions()
        with self.loading(len(data)):
            await self._read(data, self._keyspace, target, after_slice, checked=checked)
        self.note(target)
        return target

    async def load_arriving(self, arriving: Arriving, *, after_slice: Callable[[], None]) -> KeyspaceTarget:
        """`load` what comes from a master while it comes."""
        target = KeyspaceTarget(self._keyspace, None)
        self.drop_functions()
        with self.loading(0):
            await self._read_arriving(arriving, self._keyspace, target, after_slice)
        self.note(target)
        return target

    async def load_aside(
        self, arriving: Arriving, *, serve: bool, after_slice: Callable[[], None]
    ) -> tuple[Keyspace, KeyspaceTarget]:
        """Load what comes from a master while it comes, into a keyspace of its own, for `put_in_place`.

        Raises RdbError.

        Clients are served from what there is meanwhile, if told to `serve` them.
        """
        keyspace = self._keyspace
        aside = Keyspace(keyspace.count, keyspace.notifier)
        aside.limits = keyspace.limits
        aside.keep(accounted=keyspace.accounted, uses=keyspace.uses)
        aside.functions = _Sources()
        target = KeyspaceTarget(aside, None)
        with self.loading(0, ASYNC_LOADING if serve else LOADING):
            await self._read_arriving(arriving, aside, target, after_slice)
        return aside, target

    def put_in_place(self, aside: Keyspace, target: KeyspaceTarget) -> None:
        """What has been loaded aside takes the place of what there was; raises RdbError, and then it does not."""
        keyspace = self._keyspace
        if keyspace.functions is not None and aside.functions is not None:
            try:
                keyspace.functions.restore(aside.functions.sources(), replace=True, clear=True)
            except Error as error:
                raise RdbError(f"Failed loading function: {error.text.decode('utf-8', 'replace')}") from None
        keyspace.adopt(aside)
        # The old data are freed in slices.
        aside.bury = keyspace.bury
        aside.clear()
        self.note(target)

    async def _read_arriving(
        self, arriving: Arriving, keyspace: Keyspace, target: KeyspaceTarget, after_slice: Callable[[], None]
    ) -> None:
        """Read what comes into `keyspace`, as far as it has come, a slice a turn of the loop."""
        reader = RdbReader(await arriving.take(HEADER_SIZE), target, keyspace.limits, growing=True)
        # While loading nothing has expired, whatever the clock says.
        keyspace.expiry = SEE_EXPIRED
        self.target = target
        while not reader.read_some(self.slice(_SLICE)):
            self.loaded_bytes = reader.position
            if reader.starved:
                # Twice as much as was not enough: a record may be large, and is read from its beginning each time.
                reader.grow(await arriving.take(reader.unread + 1))
            else:
                self.pace(_SLICE)
                await asyncio.sleep(0)
            after_slice()
            keyspace.expiry = SEE_EXPIRED

    async def _read(
        self,
        data: bytes,
        keyspace: Keyspace,
        target: KeyspaceTarget,
        after_slice: Callable[[], None],
        *,
        checked: bool,
    ) -> None:
        """Read the RDB `data` into `keyspace`, a slice a turn of the loop."""
        reader = RdbReader(data, target, keyspace.limits, checked=checked)
        # While loading nothing has expired, whatever the clock says.
        keyspace.expiry = SEE_EXPIRED
        self.target = target
        while not reader.read_some(self.slice(_SLICE)):
            self.loaded_bytes = reader.position
            self.pace(_SLICE)
            after_slice()
            await asyncio.sleep(0)
            keyspace.expiry = SEE_EXPIRED

    @property
    def elapsed_s(self) -> int:
        """For how long the load under way has been."""
        return self._runtime.clock.wall_ms() // 1000 - self.started_at_s

    def slice(self, records: int) -> int:
        """How many records to load between two turns of the loop, if nothing slows it down `records`."""
        delay = self._settings.key_load_delay
        return records if delay <= 0 else min(records, max(1, _SLICE_DELAY_US // delay))

    def pace(self, records: int) -> None:
        """A slice has been loaded: `key-load-delay`."""
        delay = self._settings.key_load_delay
        if delay:
            self._runtime.process.stall(delay_s(self.slice(records), delay))

    @contextmanager
    def loading(self, total_bytes: int, condition: int = LOADING) -> Iterator[None]:
        """Meanwhile so many bytes are being loaded, and clients are told so; `loaded_bytes` is the caller's to set."""
        self.active = True
        self.serving = condition == ASYNC_LOADING
        self.started_at_s = self._runtime.clock.wall_ms() // 1000
        self.total_bytes = total_bytes
        self.loaded_bytes = 0
        self._conditions.set(condition, True)
        try:
            yield
        finally:
            self.active = False
            self.target = None
            self._conditions.set(condition, False)
            self._update_expiry_mode()

    def reload(self, data: bytes, *, flush: bool, merge: bool) -> Iterator[None]:
        """DEBUG RELOAD: load the snapshot `data`, a slice a step, into an empty keyspace unless `flush` is false.

        With `merge` a key of the snapshot takes the place of one that is there. Raises RdbError, also for such a key
        without `merge`.
        """
        if flush:
            self._keyspace.clear()
            self.drop_functions()
        target = KeyspaceTarget(self._keyspace, None, merge=merge)
        with self.loading(len(data)):
            self._keyspace.expiry = SEE_EXPIRED
            self.target = target
            reader = RdbReader(data, target, self._keyspace.limits)
            while not reader.read_some(self.slice(_SLICE)):
                self.loaded_bytes = reader.position
                self.pace(_SLICE)
                yield
                self._keyspace.expiry = SEE_EXPIRED
        self.note(target)

    def drop_functions(self) -> None:
        """FLUSHALL leaves libraries alone; other data bring their own."""
        if self._keyspace.functions is not None:
            self._keyspace.functions.clear()

    def note(self, target: KeyspaceTarget) -> None:
        """A snapshot has been loaded."""
        self.keys_loaded = target.keys_loaded
        self.keys_expired = target.keys_expired
        self.loaded()
        # redis-server ends here; what it can load with its modules we could never load.
        for type_name, keys in target.modules.items():
            self._runtime.log.warning(f"{refusal(type_name)}. Keys of this type left out: {keys}.")
        for type_name in target.modules_aux:
            self._runtime.log.warning(
                f"The RDB file contains AUX module data I can't load: no matching module '{type_name}'. It is left out."
            )
        done = f"Done loading RDB, keys loaded: {target.keys_loaded}, keys expired: {target.keys_expired}"
        if not target.empty_keys:
            self._runtime.log.notice(f"{done}.")
            return
        for key in target.empty_keys[:_EMPTY_SHOWN]:
            self._runtime.log.warning(f"rdbLoadObject skipping empty key: {key.decode('utf-8', 'replace')}")
        self._runtime.log.warning(f"{done}, empty keys skipped: {len(target.empty_keys)}.")


def _integer(text: bytes | None) -> int | None:
    if text is None or not text.removeprefix(b"-").isdigit():
        return None
    return int(text)
