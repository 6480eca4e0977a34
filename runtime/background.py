"""Work on a frozen copy of this process: a forked child, or the same call inline in the simulator.

The child sees memory as it was at the fork (RDB snapshots and AOF rewrites rest on that), does its
work, and ends without running anything of the parent's: no ``finally``, no ``atexit``, no loop.
"""

from __future__ import annotations

import asyncio
import gc
import mmap
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol


class BackgroundError(Exception):
    """The background work did not finish: it raised, or its process was killed, by the signal `number` then."""

    def __init__(self, reason: str = "", number: int = 0) -> None:
        super().__init__(reason)
        self.number = number


class BackgroundKilledError(BackgroundError):
    """Somebody ended it on purpose, by `kill` or by the signal that `kill` sends: no failure, as Redis has it."""


class Job(Protocol):
    """One piece of background work under way."""

    @property
    def pid(self) -> int:
        """The child's process id; where the work runs inline, that of the process."""
        ...

    async def wait(self) -> None:
        """Return when the work is done; raises BackgroundError when it failed or was killed."""
        ...

    def kill(self) -> None:
        """End the work now; `wait` then raises BackgroundKilledError, unless it was done."""
        ...


class StreamingJob(Job, Protocol):
    """Background work whose output comes back while it runs."""

    def pause(self) -> None:
        """Take no more output for now; the work waits once what lies between fills up."""
        ...

    def resume(self) -> None: ...


class ConversingJob(StreamingJob, Protocol):
    """Background work that is also told things while it runs."""

    def send(self, data: bytes) -> None:
        """Have the work read this."""
        ...

    def hang_up(self) -> None:
        """Have the work read the end."""
        ...


# Reads what has been sent, waiting for it; nothing at the end.
Read = Callable[[], bytes]
Write = Callable[[bytes], None]


class Background(Protocol):
    def shared_numbers(self, count: int) -> memoryview[int]:
        """Unsigned 64-bit numbers, zero at first, that children made later write and this process reads."""
        ...

    def start(self, work: Callable[[], None]) -> Job:
        """Begin `work` on a snapshot of this process; raises OSError when no child can be made.

        Work that has failed and has said why raises BackgroundError."""
        ...

    def start_streaming(
        self, work: Callable[[Callable[[bytes], None]], None], receive: Callable[[bytes], None]
    ) -> StreamingJob:
        """Like `start`, but `work` is given a function to write with; `receive` gets the bytes, in order, and
        all of them before `wait` returns."""
        ...

    def start_conversation(
        self, work: Callable[[Read, Write], None], receive: Callable[[bytes], None]
    ) -> ConversingJob:
        """Like `start_streaming`, with a function to read with, too."""
        ...


class ForkedJob:
    """A forked child, watched through a pidfd so that the loop needs no signal handler."""

    __slots__ = ("_done", "_pid", "_pidfd")

    def __init__(self, pid: int) -> None:
        loop = asyncio.get_running_loop()
        self._pid = pid
        # Set with the child's wait status once the kernel says it has ended.
        self._done: asyncio.Future[int] = loop.create_future()
        self._pidfd = os.pidfd_open(pid)
        loop.add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        return self._pid

    async def wait(self) -> None:
        status = await asyncio.shield(self._done)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            kind = BackgroundKilledError if number == signal.SIGUSR1 else BackgroundError
            raise kind(f"child {self._pid} was killed by signal {number}", number)
        if status != 0:
            raise BackgroundError(f"child {self._pid} ended with status {os.waitstatus_to_exitcode(status)}")

    def kill(self) -> None:
        if not self._done.done():
            os.kill(self._pid, signal.SIGUSR1)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        _, status = os.waitpid(self._pid, 0)
        if not self._done.done():
            self._done.set_result(status)


class PipedJob(ForkedJob):
    """A forked child whose output comes through a pipe."""

    __slots__ = ("_ended", "_fd", "_paused", "_receive")

    def __init__(self, pid: int, fd: int, receive: Callable[[bytes], None]) -> None:
        super().__init__(pid)
        loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        # The reading end, and whether the loop watches it.
        self._fd = fd
        self._paused = False
        self._receive = receive
        # Set once the child has closed its end.
        self._ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(fd, self._read)

    async def wait(self) -> None:
        await asyncio.shield(self._ended)
        await super().wait()

    def pause(self) -> None:
        if not self._paused and not self._ended.done():
            self._paused = True
            asyncio.get_running_loop().remove_reader(self._fd)

    def resume(self) -> None:
        if self._paused and not self._ended.done():
            self._paused = False
            asyncio.get_running_loop().add_reader(self._fd, self._read)

    def kill(self) -> None:
        self.resume()
        super().kill()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _PIPE_READ)
        except ConnectionResetError:
            # It has ended without reading all that it was told.
            data = b""
        if data:
            self._receive(data)
            return
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        if not self._ended.done():
            self._ended.set_result(None)


class ConversingForkedJob(PipedJob):
    """A forked child with a pair of sockets between it and us."""

    __slots__ = ()

    def send(self, data: bytes) -> None:
        if self._ended.done():
            return
        try:
            if os.write(self._fd, data) == len(data):
                return
        except (BlockingIOError, BrokenPipeError):
            pass
        # It reads nothing any more, and what is cut in the middle has no meaning.
        self.kill()

    def hang_up(self) -> None:
        # The descriptor of one that has ended may be somebody else's by now.
        if self._ended.done():
            return
        with socket.socket(fileno=os.dup(self._fd)) as end, suppress(OSError):
            end.shutdown(socket.SHUT_WR)


class ForkBackground:
    """Children by fork(2), as redis-server makes them."""

    __slots__ = ()

    def shared_numbers(self, count: int) -> memoryview[int]:
        return memoryview(mmap.mmap(-1, 8 * count)).cast("Q")

    def start(self, work: Callable[[], None]) -> ForkedJob:
        return ForkedJob(_fork(work, keep=-1))

    def start_streaming(
        self, work: Callable[[Callable[[bytes], None]], None], receive: Callable[[bytes], None]
    ) -> PipedJob:
        reading, writing = os.pipe()
        try:
            pid = _fork(lambda: work(_pipe_writer(writing)), keep=writing)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return PipedJob(pid, reading, receive)

    def start_conversation(
        self, work: Callable[[Read, Write], None], receive: Callable[[bytes], None]
    ) -> ConversingForkedJob:
        ours, theirs = socket.socketpair()
        fd = theirs.fileno()
        try:
            pid = _fork(lambda: work(lambda: os.read(fd, _PIPE_READ), _pipe_writer(fd)), keep=fd)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return ConversingForkedJob(pid, ours.detach(), receive)


# As much as a Linux pipe may hold.
_PIPE_READ = 1024 * 1024


def _pipe_writer(fd: int) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(fd, view) :]
        except BrokenPipeError:
            # The parent is gone, and with it whoever wanted the bytes.
            raise BackgroundError from None

    return write


def _close_inherited(keep: int) -> None:
    """Let go of the parent's sockets: otherwise its port stays taken and its clients stay connected, to nobody,
    when it is killed while the child lives."""
    limit = min(os.sysconf("SC_OPEN_MAX"), 1 << 20)
    os.closerange(3, max(keep, 3))
    os.closerange(max(keep + 1, 3), limit)


def _fork(work: Callable[[], None], keep: int) -> int:
    """Begin a child that does this and ends (`_run_child`); returns its pid. Raises OSError."""
    # What is buffered would be written twice.
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run_child(work, keep)
    return pid


def _run_child(work: Callable[[], None], keep: int) -> None:
    """The child's whole life. Never returns: returning would run the parent's loop a second time.

    Of the files the parent has open only the standard ones and `keep` stay open.
    """
    code = 1
    try:
        _close_inherited(keep)
        # A collection would touch every object's header and so copy every page.
        gc.disable()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        work()
        code = 0
    except BackgroundError:
        pass
    except BaseException:
        # The only place where a broad catch is right: whatever went wrong, the child must still end here.
        # Straight to the file descriptor: nothing flushes Python's streams any more.
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)
