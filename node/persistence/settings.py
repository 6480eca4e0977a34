"""What an operator can choose about snapshots; fields are named after their directives.

A protocol, and not a class: the node's settings have these fields among all others, and CONFIG SET changes them in
place, so whoever uses one reads it when it is needed.
"""

from __future__ import annotations

from typing import Protocol


class SnapshotSettings(Protocol):
    """Directives of RDB files."""

    # The folder of all files, and the snapshot's name in it.
    dir: str
    dbfilename: str
    rdbcompression: bool
    rdbchecksum: bool
    # Have the disk take a file while it is written, and not all of it at the end.
    rdb_save_incremental_fsync: bool
    # For tests: slow down saving and loading by so many microseconds a key (negative: so many keys a microsecond).
    rdb_key_save_delay: int
    key_load_delay: int
    # Save points: so many seconds with at least so many changes.
    save: list[tuple[int, int]]
    # Refuse writes while snapshots fail.
    stop_writes_on_bgsave_error: bool


def delay_s(keys: int, delay: int) -> float:
    """How long a delay (not 0) of microseconds a key, or, when negative, of keys a microsecond, holds up `keys`."""
    return (keys * delay if delay > 0 else keys / -delay) / 1e6
