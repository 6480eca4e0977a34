"""The files of an append-only file on a disk, and the manifest that says what each is.

Files are made first and listed last, and the manifest is replaced in one step: at any moment it lists a whole log. What
it does not list, a crash left behind, and nobody reads it.
"""

from __future__ import annotations

from node.persistence.aof.errors import AofError
from node.persistence.aof.manifest import Manifest, Part, parse
from node.persistence.aof.settings import AofSettings
from runtime import Disk, Runtime
from runtime.disk import DiskFile

# The increment of a log that is being switched on, until its first base is there.
TEMPORARY_INCREMENT = "temp-appendonly.aof.incr"
# What the names of bases begin with that are being written.
_TEMPORARY_BASE = "temp-rewriteaof-bg-"


def temporary_base(pid: int) -> str:
    """What a base is called while the process with this id writes it.

    When a node is killed its child lives on, and must not write to the file of the next node's child.
    """
    return f"{_TEMPORARY_BASE}{pid}.aof"


class AofFolder:
    """The folder, and what its manifest says."""

    __slots__ = ("_runtime", "_settings", "disk", "manifest")

    def __init__(self, settings: AofSettings, runtime: Runtime) -> None:
        self._settings = settings
        self._runtime = runtime
        self.manifest = Manifest()
        # Chosen by `open`; a later CONFIG SET dir does not move a log.
        self.disk: Disk | None = None

    @property
    def _manifest_name(self) -> str:
        return f"{self._settings.appendfilename}.manifest"

    def open(self) -> Disk:
        """Read the manifest, if there is one; raises OSError or AofError."""
        settings = self._settings
        outer = self._runtime.files.folder(settings.dir)
        self.disk = disk = outer.folder(settings.appenddirname)
        self.manifest = parse(disk.read(self._manifest_name)) if disk.exists(self._manifest_name) else Manifest()
        old = settings.appendfilename
        if outer.exists(old) and (not self.manifest.parts or self._lists_only(old)) and not disk.exists(old):
            self._take_in(outer, old)
        return disk

    def _lists_only(self, name: str) -> bool:
        base = self.manifest.base
        return base is not None and base.name == name and not self.manifest.increments

    def _take_in(self, outer: Disk, name: str) -> None:
        """The log of a server before 7.0 was one file beside the snapshot: it becomes the base."""
        self._runtime.log.notice("Migrating the AOF of an older version into its folder")
        assert self.disk is not None
        self.disk.replace(name, outer.read(name))
        self.persist(Manifest(Part(name, 1)))
        outer.unlink(name)
        outer.sync_dir_now()
        self._runtime.log.notice(
            f"Successfully migrated an old-style AOF configuration ({name}) into the multi-part AOF folder "
            f"({self._settings.appenddirname})."
        )

    def tidy(self) -> None:
        """Delete what a node that was killed left half written; raises OSError."""
        assert self.disk is not None
        for name in self.disk.listdir():
            if name == TEMPORARY_INCREMENT or name.startswith(_TEMPORARY_BASE):
                self.disk.unlink(name)

    def persist(self, manifest: Manifest) -> None:
        """Make `manifest` the one that counts, durably; raises OSError."""
        assert self.disk is not None
        self.disk.replace(self._manifest_name, manifest.render())
        self.manifest = manifest

    def create(self, name: str) -> DiskFile:
        """An empty file, which is still empty after a power cut: a crash may have left another of that name."""
        assert self.disk is not None
        file = self.disk.create(name)
        try:
            file.sync_now()
        except OSError:
            file.close()
            raise
        return file

    def open_append(self, part: Part) -> DiskFile:
        assert self.disk is not None
        return self.disk.open_append(part.name)

    def rename(self, old: str, new: str) -> None:
        assert self.disk is not None
        self.disk.rename(old, new)

    def remove(self, name: str) -> None:
        """Delete a file that may not be there."""
        assert self.disk is not None
        try:
            self.disk.unlink(name)
        except FileNotFoundError:
            return  # all the better

    def read_parts(self) -> list[tuple[Part, bytes]]:
        """The files that count, with what is in them, in order; raises OSError, or AofError for one that is missing."""
        assert self.disk is not None
        parts = []
        for part in self.manifest.parts:
            try:
                parts.append((part, self.disk.read(part.name)))
            except FileNotFoundError as error:
                raise AofError(f"Unable to obtain the AOF file {part.name} length. stat: {error.strerror}") from None
        return parts

    def truncate(self, part: Part, size: int) -> None:
        """Keep only the first `size` bytes of a file; raises OSError."""
        assert self.disk is not None
        file = self.disk.open_append(part.name)
        try:
            file.truncate(size)
            file.sync_now()
        finally:
            file.close()

    def delete_history(self) -> None:
        """Delete the files that a base has replaced. If that fails, they are deleted another time."""
        if self._settings.aof_disable_auto_gc or not self.manifest.history:
            return
        try:
            for part in self.manifest.history:
                self._runtime.log.notice(f"Removing the history file {part.name}")
                self.remove(part.name)
            self.persist(self.manifest.without_history())
        except OSError as error:
            self._runtime.log.warning(f"Can't remove the AOF history files: {error.strerror}")
