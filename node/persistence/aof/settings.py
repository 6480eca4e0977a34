"""What an operator can choose about the append-only file; fields are named after their directives."""

from __future__ import annotations

from typing import Protocol

from node.persistence.settings import SnapshotSettings


class AofSettings(SnapshotSettings, Protocol):
    """Directives of the append-only file; read when they are needed, because CONFIG SET changes them in place."""

    appendonly: bool
    appendfilename: str
    # The folder of the files, in `dir`.
    appenddirname: str
    # When what was written is synced: "always", "everysec" or "no".
    appendfsync: str
    # Do not sync while a child writes, too.
    no_appendfsync_on_rewrite: bool
    # Rewrite when the log has grown by so many percent, and is larger than so many bytes.
    auto_aof_rewrite_percentage: int
    auto_aof_rewrite_min_size: int
    # Cut off a torn tail and go on.
    aof_load_truncated: bool
    # A base is a snapshot; otherwise commands.
    aof_use_rdb_preamble: bool
    aof_timestamp_enabled: bool
    # `rdb_save_incremental_fsync` for bases.
    aof_rewrite_incremental_fsync: bool
    # Leave the files that a rewrite has replaced where they are.
    aof_disable_auto_gc: bool
