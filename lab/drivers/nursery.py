"""Ten processes for the price of loading the program once.

Most of what a start costs is importing the same modules in every process. A nursery is one process that imports them
and then forks a child for each program it is asked for; the child leaves for a session, a folder and a log of its own
and becomes that program, as if it had been started by its command. A nursery ends when it has been told everything.

Spoken over pipes: a line of JSON in (`argv`, `folder`, `log`), the child's pid out as a line, and `go` in, once that
pid has been noted. The child waits for it: if whoever ordered it is killed first, nobody would know of it to stop it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from setproctitle import setproctitle

from lab import programs


class Nursery:
    """A nursery at work: ``with Nursery() as nursery: pid = nursery.start(...)``."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.drivers.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def start(self, argv: list[str], folder: Path, log: Path, note: Callable[[int], None] = lambda _: None) -> int:
        """Have ``shardlab argv...`` run in `folder`, its output added to `log`; returns its pid. Raises OSError.

        It does nothing until `note` has been given its pid, and never will when `note` raises.
        """
        assert self._process.stdout is not None
        self._tell(json.dumps({"argv": argv, "folder": str(folder), "log": str(log)}))
        answer = self._process.stdout.readline().strip()
        if not answer.isdigit():
            raise OSError(0, answer.decode(errors="replace") or "the nursery ended")
        pid = int(answer)
        try:
            note(pid)
        except BaseException:
            self._tell("no")
            raise
        self._tell("go")
        return pid

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Whoever was killed cannot be told that it is over.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def main() -> int:
    """Fork a child for each order on standard input, until it ends."""
    programs.load_all()
    # What is loaded now is shared by all children for as long as none of them touches it.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        held, release = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            _answer(str(error.strerror))
        else:
            if pid == 0:
                os.close(release)
                _become(order["argv"], order["folder"], order["log"], held)
            _answer(str(pid))
            if sys.stdin.readline() == "go\n":
                os.write(release, b"!")
        finally:
            os.close(held)
            os.close(release)
    return 0


def _answer(line: str) -> None:
    # Whoever was killed hears no answer; that there are no more orders says so.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _become(argv: list[str], folder: str, log: str, held: int) -> None:
    """The child: wait for a byte from `held`, leave what is the nursery's, and be that program. Never returns."""
    status = 1
    try:
        if not os.read(held, 1):
            os._exit(status)
        os.close(held)
        os.setsid()
        os.chdir(folder)
        nothing = os.open(os.devnull, os.O_RDONLY)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.close(nothing)
        os.close(output)
        sys.argv = ["shardlab", *argv]
        # What ps shows, and what pkill finds, is what runs here and not the nursery.
        setproctitle(" ".join(sys.argv))
        status = programs.run(argv)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        # Returning would make a second nursery of this child; whatever went wrong belongs in its log.
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
