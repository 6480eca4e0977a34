"""Keeps simulated code in the simulation: what it wants of the real world is refused, by name and with who wanted it.

The interpreter reports files, folders, sockets and children to an *audit hook*, which refuses them to code that runs
for a simulated process. It does not report sleeping, threads and a few more; those functions are replaced while a world
runs (`patches`). What can be neither seen nor replaced (`datetime.now`, which lives in C) a lint rule bans from
product code. The run's own code is not concerned: it belongs to no process.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from types import FrameType
from typing import Any, NoReturn

from sim.errors import EscapeError
from sim.process import PROCESS, Process

# Audit events (Python's documentation, "Audit events table") by their beginnings, and what product code uses instead.
_INSTEAD = {
    "open": "runtime.files",
    "os.": "runtime: files, pid, background",
    "shutil.": "runtime.files",
    "tempfile.": "runtime.files",
    "glob.": "runtime.files",
    "pathlib.": "runtime.files",
    "fcntl.": "runtime.files",
    "mmap.": "runtime.files",
    "sqlite3.": "runtime.files",
    "subprocess.": "runtime.background",
    "socket.": "the running loop's create_server, create_connection and datagram endpoints",
    "signal.": "the running loop's add_signal_handler",
    "syslog.": "runtime.log",
    "urllib.": "the running loop's create_connection",
}
# Who may read files for a process: imports that come late, packages that ask for their version, and tracebacks that
# quote their source; each somewhere among the last callers.
_READERS = ("importlib", "linecache.py")
_CALLERS = 12

_installed = False


def install() -> None:
    """Have the interpreter ask the guard from now on; there is no way back, and a second time does nothing."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_ask)


def refuse(process: Process, wanted: str, instead: str) -> NoReturn:
    """Raise EscapeError, and fail the run even where the code handles that."""
    what = f"{process} wants {wanted}, which would leave the simulation; it should use {instead}"
    process.escaped(what)
    raise EscapeError(what)


def _ask(
    event: str,
    arguments: tuple[Any, ...],
    by_event: Mapping[str, str] = _INSTEAD,
    running: ContextVar[Process | None] = PROCESS,
) -> None:
    # Its names are bound as defaults: the interpreter asks until it ends, when those of the module are gone already.
    instead = by_event.get(event) or by_event.get(event[: event.find(".") + 1])
    if instead is None:
        return
    process = running.get()
    if process is None or not process.runs or _reads_for_python():
        return
    refuse(process, f"{event}({', '.join(map(repr, arguments))})", instead)


def _reads_for_python() -> bool:
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_CALLERS):
        if frame is None:
            break
        if any(reader in frame.f_code.co_filename for reader in _READERS):
            return True
        frame = frame.f_back
    return False
