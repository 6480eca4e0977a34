"""What commands that run scripts do, as far as scripts say it themselves: gates and pauses judge them by that."""

from __future__ import annotations

from node.scripting.flags import ALLOW_OOM, ALLOW_STALE, COMPATIBLE, NO_WRITES, script_flags
from node.scripting.functions import Libraries
from node.scripting.scripts import Scripts
from wire.command import DENYOOM, MAY_REPLICATE, STALE, WRITE
from wire.errors import Error
from wire.table import Command


class Declared:
    """Looks at the script or function that a command names."""

    __slots__ = ("_finders", "_libraries", "_scripts")

    def __init__(self, scripts: Scripts, libraries: Libraries) -> None:
        self._scripts = scripts
        self._libraries = libraries
        self._finders = {
            "eval": _of_text,
            "eval_ro": _of_text,
            "evalsha": self._of_sha1,
            "evalsha_ro": self._of_sha1,
            "fcall": self._of_function,
            "fcall_ro": self._of_function,
        }

    def flags(self, command: Command, argv: list[bytes]) -> int:
        """The command's flags; whether it writes, needs memory and stands old data as its script has it."""
        finder = self._finders.get(command.name)
        declared = COMPATIBLE if finder is None else finder(argv[1])
        if declared & COMPATIBLE:
            return command.flags
        flags = command.flags & ~(STALE | DENYOOM | WRITE | MAY_REPLICATE)
        if not declared & NO_WRITES:
            flags |= WRITE if declared & ALLOW_OOM else WRITE | DENYOOM
        return flags | STALE if declared & ALLOW_STALE else flags

    def _of_sha1(self, name: bytes) -> int:
        script = self._scripts.find(name)
        return COMPATIBLE if script is None else script.flags

    def _of_function(self, name: bytes) -> int:
        function = self._libraries.function(name)
        return COMPATIBLE if function is None else function.script.flags


def _of_text(body: bytes) -> int:
    try:
        return script_flags(body)[0]
    except Error:
        return COMPATIBLE
