"""A node's whole data as an RDB: what goes into the file and in which order.

Runs where the data cannot change meanwhile: in a forked child, or in the node itself for SAVE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.slots import key_slot
from node.keyspace import Keyspace
from node.persistence.new_file import writing
from node.persistence.rdb_writer import RdbWriter
from runtime.disk import Disk
from wire.front import REDIS_VERSION


@dataclass(frozen=True, slots=True)
class ReplicationMark:
    """Where in which history the data stands: a replica that restarts from the file continues from here."""

    replid: bytes
    offset: int
    # The database the stream's next command applies to.
    database: int


@dataclass(frozen=True, slots=True)
class Remarks:
    """What the file says about itself."""

    created_at_s: int
    used_memory: int
    # None when the node has no part in any replication.
    mark: ReplicationMark | None


# Told how many more keys have been written.
Advance = Callable[[int], None]


def write_snapshot(
    writer: RdbWriter,
    keyspace: Keyspace,
    remarks: Remarks,
    advance: Advance,
    *,
    keys: bool = True,
    aof_base: bool = False,
) -> None:
    """Write everything, from the header to the checksum; without `keys` all but the data itself.

    As the base of an append-only file it has no place in any replication: what follows in the file moves on from there.
    """
    writer.aux(b"redis-ver", REDIS_VERSION.encode())
    writer.aux(b"redis-bits", 64)
    writer.aux(b"ctime", remarks.created_at_s)
    writer.aux(b"used-mem", remarks.used_memory)
    if remarks.mark is not None and not aof_base:
        writer.aux(b"repl-stream-db", remarks.mark.database)
        writer.aux(b"repl-id", remarks.mark.replid)
        writer.aux(b"repl-offset", remarks.mark.offset)
    writer.aux(b"aof-base", int(aof_base))
    for source in keyspace.functions.sources() if keyspace.functions is not None else ():
        writer.function(source)
    if keys:
        _write_keys(writer, keyspace, advance)
    writer.end()


def _write_keys(writer: RdbWriter, keyspace: Keyspace, advance: Advance) -> None:
    uses = keyspace.uses
    for database in keyspace.databases():
        if not database.size:
            continue
        clocks = database.clocks
        writer.database(database.index, database.size, database.volatile)
        for shard, expires in zip(database.shards, database.expires, strict=True):
            if not shard:
                continue
            if uses is not None and uses.saved and clocks is not None:
                for key, value in shard.items():
                    writer.use(*uses.exported(clocks.entry(key_slot(key), key)))
                    writer.entry(key, value, None if expires is None else expires.get(key))
            elif expires is None:
                writer.entries(shard)
            else:
                for key, value in shard.items():
                    writer.entry(key, value, expires.get(key))
            advance(len(shard))


@dataclass(frozen=True, slots=True)
class FileForm:
    """How a file is written."""

    compress: bool
    checksum: bool
    # Have the disk take it piece by piece.
    incremental: bool


def write_snapshot_file(
    disk: Disk, name: str, temporary: str, keyspace: Keyspace, remarks: Remarks, form: FileForm, advance: Advance
) -> None:
    """Put a snapshot under `name`, whole and durable, or raise OSError and leave the old file as it was.

    It is called `temporary` while it is written; two writers must not share that name.
    """
    with writing(disk, temporary, incremental=form.incremental) as write:
        write_snapshot(RdbWriter(write, compress=form.compress, checksum=form.checksum), keyspace, remarks, advance)
    try:
        disk.rename(temporary, name)
    except OSError:
        disk.unlink(temporary)
        raise
    disk.sync_dir_now()
