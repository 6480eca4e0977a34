"""`bench.commands` as a person runs it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from bench.commands import DEFAULT_TESTS
from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent


def test_its_servers_end_with_it() -> None:
    words = [
        "--standalone",
        "--tests",
        f"set,{DEFAULT_TESTS}",
        "--pipelines",
        "16",
        "--requests",
        "2000",
        "--rounds",
        "3",
    ]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "bench.commands", *words], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        assert b"link-time optimisation; 50 clients, 3 rounds, alone" in output.readline()
        output.readline()
        assert re.fullmatch(rb"set +\d+\.\d\d \(\d+\.\d us\)\n", output.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 1

    def gone() -> bool:
        # Whoever inherits them may be slow to notice that they have ended: what is only a zombie is gone.
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.getpgid(int(entry.name)) == process.pid:
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                    if state != "Z":
                        return False
        return True

    wait_for(gone, what="the end of its servers")
