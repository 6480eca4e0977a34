"""A kill -9 at any moment: with `appendfsync always` nothing acknowledged is missing, otherwise nothing that is old."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

# Two hundred: python -m tests.node.persistence.aof.crashes --kills 200
KILLS = 20


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_twenty_kills(policy: str) -> None:
    # A process of its own: it forks, and this one has threads.
    command = [sys.executable, "-m", "tests.node.persistence.aof.crashes", "--kills", str(KILLS), "--policy", policy]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    told = re.search(
        r"(\d+) kills, (\d+) writes acknowledged, (\d+) rewrites, 0 problems\n(\d+) .* lost", result.stdout
    )
    assert told, result.stdout
    kills, acknowledged, rewrites, lost = map(int, told.groups())
    assert kills == KILLS
    assert acknowledged > 100 * KILLS / 10
    assert rewrites
    assert policy == "everysec" or not lost
