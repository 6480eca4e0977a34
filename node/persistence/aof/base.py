"""Writing a base: the whole data as one file, a snapshot or commands.

Runs where the data cannot change meanwhile: in a forked child, or in the node itself at its start.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.keyspace import Keyspace
from node.persistence.aof.rewrite_commands import write_commands
from node.persistence.new_file import writing
from node.persistence.rdb_writer import RdbWriter
from node.persistence.snapshot import Advance, Remarks, write_snapshot
from runtime.disk import Disk


@dataclass(frozen=True, slots=True)
class BaseForm:
    """How a base is written."""

    # As a snapshot; otherwise as commands.
    snapshot: bool
    compress: bool
    checksum: bool
    # Have the disk take it piece by piece.
    incremental: bool
    # Commands begin with the time at which they were written.
    annotate: bool

    @property
    def suffix(self) -> str:
        return "rdb" if self.snapshot else "aof"


def write_base(disk: Disk, name: str, keyspace: Keyspace, remarks: Remarks, form: BaseForm, advance: Advance) -> None:
    """Write a base under `name`, durably (the name is the caller's business); raises OSError."""
    with writing(disk, name, incremental=form.incremental) as write:
        if form.snapshot:
            writer = RdbWriter(write, compress=form.compress, checksum=form.checksum)
            write_snapshot(writer, keyspace, remarks, advance, aof_base=True)
        else:
            annotation = b"#TS:%d\r\n" % remarks.created_at_s if form.annotate else b""
            write_commands(write, keyspace, annotation, advance)
