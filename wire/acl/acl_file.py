"""The file that users are kept in (`aclfile`)."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.disk import Disk, FileSystem
from runtime.log import Log


class AccountsError(Exception):
    """An ACL file, or a directive, that is not as it should be, and why."""


class AclFile:
    """One file, read and written whole."""

    __slots__ = ("_files", "_log", "path")

    def __init__(self, files: FileSystem, path: str, log: Log) -> None:
        self._files = files
        self.path = path
        self._log = log

    def read(self) -> bytes:
        """What it says; raises AccountsError when it cannot be read."""
        try:
            folder, name = self._place()
            return folder.read(name)
        except OSError as error:
            reason = error.strerror or ""
            raise AccountsError(f"Error loading ACLs, opening file '{self.path}': {reason}") from None

    def save(self, lines: Sequence[bytes]) -> bool:
        """Replace what it says; False, and a line in the log, when that fails."""
        try:
            folder, name = self._place()
            folder.replace(name, b"".join(line + b"\n" for line in lines))
        except OSError as error:
            self._log.warning(f"Saving ACL file {self.path}: {error.strerror}")
            return False
        return True

    def _place(self) -> tuple[Disk, str]:
        folder, _, name = self.path.rpartition("/")
        return self._files.folder(folder or "."), name
