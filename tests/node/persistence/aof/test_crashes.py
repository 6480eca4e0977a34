"""With `appendfsync always` nothing that was acknowledged is missing after a kill -9 at any moment."""

from __future__ import annotations

import re
import subprocess
import sys

# Two hundred: python -m tests.node.persistence.aof.crashes --kills 200
KILLS = 20


def test_twenty_kills() -> None:
    # A process of its own: it forks, and this one has threads.
    command = [sys.executable, "-m", "tests.node.persistence.aof.crashes", "--kills", str(KILLS)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    told = re.search(r"(\d+) kills, (\d+) writes acknowledged, (\d+) rewrites, 0 problems", result.stdout)
    assert told, result.stdout
    kills, acknowledged, rewrites = map(int, told.groups())
    assert kills == KILLS
    assert acknowledged > 100 * KILLS / 10
    assert rewrites
