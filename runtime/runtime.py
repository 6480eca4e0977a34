"""What a process is given of the outside world."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from runtime.background import Background, ForkBackground
from runtime.clock import Clock, SystemClock
from runtime.disk import FileSystem, RealFileSystem
from runtime.log import Log, stdout_log
from runtime.process import Process, SystemProcess
from runtime.randomness import Randomness
from runtime.tls import Context, TlsOptions, make_contexts


@dataclass(frozen=True, slots=True)
class Runtime:
    """The outside world of one process; `sim` builds the other one."""

    clock: Clock
    random: Randomness
    files: FileSystem
    background: Background
    log: Log
    # Shown by INFO; never used in anything sent, stored or ordered.
    pid: int
    process: Process
    # The contexts for TLS connections that come and that go; raises TlsError.
    tls_contexts: Callable[[TlsOptions], tuple[Context, Context]]


def system_runtime() -> Runtime:
    """The machine this process really runs on."""
    clock = SystemClock()
    return Runtime(
        clock=clock,
        random=Randomness.from_system(),
        files=RealFileSystem(),
        background=ForkBackground(),
        log=stdout_log(clock),
        pid=os.getpid(),
        process=SystemProcess(),
        tls_contexts=make_contexts,
    )
