"""Ten processes for the price of loading the program once.

Most of what a start costs is importing the same modules in every process. A nursery is one process that imports them
and then forks a child for each program it is asked for; the child leaves for a session, a folder and a log of its own
and becomes that program, as if it had been started by its command. A nursery ends when it has been told everything.

Spoken over pipes: a line of JSON in (`argv`, `folder`, `log`), the child's pid out as a line.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import traceback
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

    def start(self, argv: list[str], folder: Path, log: Path) -> int:
        """Have ``shardlab argv...`` run in `folder`, its output added to `log`; returns its pid. Raises OSError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = json.dumps({"argv": argv, "folder": str(folder), "log": str(log)})
        self._process.stdin.write(order.encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer.isdigit():
            raise OSError(0, answer.decode(errors="replace") or "the nursery ended")
        return int(answer)

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
        try:
            pid = os.fork()
        except OSError as error:
            sys.stdout.write(f"{error.strerror}\n")
        else:
            if pid == 0:
                _become(order["argv"], order["folder"], order["log"])
            sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    return 0


def _become(argv: list[str], folder: str, log: str) -> None:
    """The child: leave what is the nursery's, and be that program until its end. Never returns."""
    status = 1
    try:
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
