"""Loading an append-only file: the base, then what was executed since, in the order of execution.

Runs as a generator that gives way every few milliseconds, so that a start answers -LOADING meanwhile, and DEBUG LOADAOF
can do it all at once. Nothing expires while it runs: what has expired is still in the commands that follow.
"""

from __future__ import annotations

from collections.abc import Iterator

from node.database import SEE_EXPIRED
from node.execute import Executor
from node.keyspace import Keyspace
from node.persistence.aof.errors import AofError
from node.persistence.aof.folder import AofFolder
from node.persistence.aof.manifest import Part
from node.persistence.aof.reading import CommandReader, FormatError, TornError
from node.persistence.aof.settings import AofSettings
from node.persistence.loading import KeyspaceTarget, Loader
from node.persistence.rdb_errors import RdbError
from node.persistence.rdb_reader import RdbReader
from node.session import NodeSession
from runtime import Runtime
from wire.errors import Error
from wire.session import IN_MULTI

# Commands, and entries of a base, between two turns of the loop: a few milliseconds' worth.
_SLICE = 1000
_RDB_SIGNATURE = b"REDIS"


class Replay:
    """Reads the files of one folder into the keyspace."""

    __slots__ = ("_executor", "_folder", "_keyspace", "_loader", "_runtime", "_session", "_settings")

    def __init__(
        self,
        settings: AofSettings,
        runtime: Runtime,
        folder: AofFolder,
        keyspace: Keyspace,
        executor: Executor,
        loader: Loader,
        session: NodeSession,
    ) -> None:
        """`session` is the client as which the commands run; it belongs to nobody else."""
        self._settings = settings
        self._runtime = runtime
        self._folder = folder
        self._keyspace = keyspace
        self._executor = executor
        self._loader = loader
        self._session = session
        # What has been done is done again, whoever may do what by now.
        session.superuser = True

    def steps(self) -> Iterator[None]:
        """Load what the manifest lists, a slice a step; raises AofError or OSError."""
        parts = self._folder.read_parts()
        total = sum(len(data) for _, data in parts)
        if not total:
            return
        log, clock = self._runtime.log, self._runtime.clock
        began_ns = clock.perf_ns()
        with self._loader.loading(total):
            before = 0
            for part, data in parts:
                part_began_ns = clock.perf_ns()
                is_base = part is self._folder.manifest.base
                for position in self._load(part, data, last=part is parts[-1][0]):
                    self._loader.loaded_bytes = before + position
                    yield
                before += len(data)
                kind = "base" if is_base else "incr"
                took_s = (clock.perf_ns() - part_began_ns) / 1e9
                if data:
                    log.notice(f"DB loaded from {kind} file {part.name}: {took_s:.3f} seconds")
        log.notice(f"DB loaded from append only file: {(clock.perf_ns() - began_ns) / 1e9:.3f} seconds")

    def _load(self, part: Part, data: bytes, *, last: bool) -> Iterator[int]:
        """Load one file; gives its position between slices."""
        start = 0
        self._see_everything()
        if data.startswith(_RDB_SIGNATURE):
            self._runtime.log.notice("Reading RDB base file on AOF loading...")
            target = KeyspaceTarget(self._keyspace, None)
            try:
                reader = RdbReader(data, target, self._keyspace.limits)
                self._loader.target = target
                while not reader.read_some(self._loader.slice(_SLICE)):
                    self._loader.pace(_SLICE)
                    yield reader.position
                    self._see_everything()
            except RdbError as error:
                raise AofError(*error.lines) from None
            self._loader.note(target)
            start = reader.position
        session, apply = self._session, self._executor.indirect.apply
        session.call.db = self._keyspace.database(0)
        commands = CommandReader(data, start)
        # Where the last command outside of a transaction ends: what a torn tail is cut back to.
        whole = start
        count = 0
        size = self._loader.slice(_SLICE)
        try:
            while (argv := commands.next()) is not None:
                try:
                    apply(session, argv, replaying=True)
                except Error:
                    name = argv[0].decode("utf-8", "replace")
                    raise AofError(f"Unknown command '{name}' reading the append only file {part.name}") from None
                if not session.mask & IN_MULTI:
                    whole = commands.position
                count += 1
                if count % size == 0:
                    session.out.clear()
                    self._loader.pace(_SLICE)
                    yield commands.position
                    self._see_everything()
            if session.mask & IN_MULTI:
                raise TornError
            whole = commands.position
        except TornError:
            self._cut(part, whole, len(data), last=last)
        except FormatError:
            raise AofError(
                f"Bad file format reading the append only file {part.name}: make a backup of your AOF file, then use "
                "./redis-check-aof --fix <filename.manifest>"
            ) from None
        finally:
            session.end_transaction()
            session.out.clear()

    def _see_everything(self) -> None:
        """Whatever ran in between may have set this otherwise."""
        self._keyspace.now_ms = self._runtime.clock.wall_ms()
        self._keyspace.expiry = SEE_EXPIRED

    def _cut(self, part: Part, whole: int, size: int, *, last: bool) -> None:
        """The file has a torn tail: cut it off, if that may be."""
        log = self._runtime.log
        if self._session.mask & IN_MULTI:
            log.warning(f"Revert incomplete MULTI/EXEC transaction in AOF file {part.name}")
        if not self._settings.aof_load_truncated:
            raise AofError(
                f"Unexpected end of file reading the append only file {part.name}. You can: 1) Make a backup of your "
                "AOF file, then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the "
                "'aof-load-truncated' configuration option to yes and restart the server."
            )
        log.warning(f"!!! Warning: short read while loading the AOF file {part.name}!!!")
        if not last:
            raise AofError("Fatal error: the truncated file is not the last file")
        log.warning(f"!!! Truncating the AOF {part.name} at offset {whole} !!! ({size - whole} bytes dropped)")
        self._folder.truncate(part, whole)
        log.warning(f"AOF {part.name} loaded anyway because aof-load-truncated is enabled")
