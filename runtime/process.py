"""The process itself: signals, limits, the pid file, going to the background, and what INFO tells of it.

Only a program's `main` reaches for these; what product code needs of them (`Process`) is handed in with the
`Runtime`, because in the simulator many nodes share one process.
"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from setproctitle import setproctitle

from runtime import garbage
from runtime.compiled import compiled_modules
from runtime.garbage import Collections

# What a server keeps open beside its clients: log, files, epoll, listening sockets (Redis' CONFIG_MIN_RESERVED_FDS).
RESERVED_FILES = 32


@dataclass(frozen=True, slots=True)
class Usage:
    """What the process has used so far."""

    user_s: float
    system_s: float
    children_user_s: float
    children_system_s: float
    # Resident memory now, and at its highest.
    resident_bytes: int
    resident_peak_bytes: int


class Interrupted(BaseException):
    """The signal came that was to end a piece of work (`Process.interrupted_by`)."""


class Process(Protocol):
    """The process as product code sees it."""

    def pid(self) -> int:
        """This process' id; a forked child has its own."""
        ...

    def usage(self) -> Usage: ...

    def private_dirty_bytes(self) -> int:
        """Memory that this process has written to and shares with none: in a child, what was copied since the fork."""
        ...

    def description(self) -> dict[str, str]:
        """For INFO: `os`, `machine_bytes`, `interpreter`, how many of our modules are `compiled`, and the like."""
        ...

    def allow_files(self, wanted: int) -> int:
        """Raise the limit of open files to `wanted` if it is lower; returns the limit that holds."""
        ...

    def oom_score(self) -> int:
        """How readily the kernel ends this process when memory runs out (oom_score_adj); raises OSError."""
        ...

    def set_oom_score(self, score: int, pid: int = 0) -> None:
        """For this process, or for a child of it; raises OSError."""
        ...

    def may_run(self, path: str) -> bool:
        """Whether there is a program at `path` that this process may run."""
        ...

    def set_title(self, title: str) -> None:
        """What `ps` shows for the process."""
        ...

    def settle(self) -> None:
        """What lives now (the program, loaded data) lives for long: no garbage collection looks at it again."""
        ...

    def collections(self) -> Collections:
        """How often the garbage collector has run since then, and for how long."""
        ...

    def stall(self, seconds: float) -> None:
        """Do nothing at all for so long: no timer, no reply (DEBUG SLEEP)."""
        ...

    def interrupted_by(self, signal_name: str) -> AbstractContextManager[None]:
        """Have work that keeps the loop from its turns end with `Interrupted` when the signal of that name comes."""
        ...

    def die(self, signal_name: str) -> None:
        """End at once by a signal, as a crash would: no reply, no `finally`, nothing flushed."""
        ...

    def exit(self, status: int) -> None:
        """End at once."""
        ...


class SystemProcess:
    """The operating system's process."""

    __slots__ = ()

    def pid(self) -> int:
        return os.getpid()

    def usage(self) -> Usage:
        own = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return Usage(
            user_s=own.ru_utime,
            system_s=own.ru_stime,
            children_user_s=children.ru_utime,
            children_system_s=children.ru_stime,
            resident_bytes=_resident_bytes() or own.ru_maxrss * 1024,
            resident_peak_bytes=own.ru_maxrss * 1024,
        )

    def private_dirty_bytes(self) -> int:
        return _private_dirty_bytes()

    def description(self) -> dict[str, str]:
        system = os.uname()
        return {
            "os": f"{system.sysname} {system.release} {system.machine}",
            "machine_bytes": str(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
            "interpreter": f"{platform.python_implementation()} {platform.python_version()}",
            "compiled": str(len(compiled_modules())),
            "bits": "64" if sys.maxsize > 2**32 else "32",
            "executable": sys.executable,
        }

    def allow_files(self, wanted: int) -> int:
        """Raise the limit of open files to `wanted` if it is lower; returns the limit that holds."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return wanted
        for limit in (wanted, hard):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(hard, limit)))
            except (ValueError, OSError):
                continue
            return limit
        return soft

    def oom_score(self) -> int:
        with open("/proc/self/oom_score_adj", "rb") as file:
            return int(file.read())

    def set_oom_score(self, score: int, pid: int = 0) -> None:
        with open(f"/proc/{pid or 'self'}/oom_score_adj", "wb") as file:
            file.write(b"%d\n" % score)

    def may_run(self, path: str) -> bool:
        return os.access(path, os.X_OK)

    def set_title(self, title: str) -> None:
        setproctitle(title)

    def settle(self) -> None:
        garbage.settle()

    def collections(self) -> Collections:
        return garbage.collections()

    def stall(self, seconds: float) -> None:
        time.sleep(seconds)

    @contextmanager
    def interrupted_by(self, signal_name: str) -> Iterator[None]:
        number = signal.Signals[signal_name]

        def interrupt(_number: int, _frame: object) -> None:
            raise Interrupted

        usual = signal.signal(number, interrupt)
        try:
            yield
        finally:
            signal.signal(number, usual)

    def die(self, signal_name: str) -> None:
        number = signal.Signals[signal_name]
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def exit(self, status: int) -> None:
        sys.stdout.flush()
        os._exit(status)


def on_signals(loop: asyncio.AbstractEventLoop, handlers: dict[str, Callable[[], None]]) -> None:
    """Call a handler, in a turn of the loop, when the signal of that name comes."""
    for name, handler in handlers.items():
        loop.add_signal_handler(signal.Signals[name], handler)


def ignore_hangups() -> None:
    """Outlive the terminal, and learn of broken pipes by errors, as Redis does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def change_folder(path: str) -> None:
    """Make `path` the folder that relative names mean; raises ValueError with the system's reason."""
    try:
        os.chdir(path)
    except OSError as error:
        raise ValueError(error.strerror) from None


def current_folder() -> str:
    return os.getcwd()


def absolute(path: str) -> str:
    return os.path.abspath(path)


def go_to_background() -> None:
    """Let the parent end with success and go on in a session of our own, with the standard files closed."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)


def write_pid_file(path: str) -> None:
    """Raises OSError."""
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")


def remove_pid_file(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return  # somebody else removed it


def make_loop() -> asyncio.AbstractEventLoop:
    """uvloop's loop where it is installed, asyncio's own elsewhere."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _resident_bytes() -> int:
    """0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _private_dirty_bytes() -> int:
    """0 where the system does not tell."""
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Private_Dirty:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0
