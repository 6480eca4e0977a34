"""A large process gets huge pages, where the kernel has them to give."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Small objects, as a world has them.
_PROGRAM = """
from sim.huge_pages import HugePages

def huge_kb():
    with open("/proc/self/smaps_rollup") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))

pages = HugePages()
pages.look()
print(huge_kb())
objects = [[number] for number in range(3_000_000)]
pages.look()
print(huge_kb())
"""


def test_what_has_grown_is_moved() -> None:
    release = tuple(int(part) for part in platform.release().split(".")[:2] if part.isdigit())
    if sys.platform != "linux" or release < (6, 1):
        pytest.skip("MADV_COLLAPSE came with Linux 6.1")
    told = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True).stdout
    small, large = map(int, told.split())
    assert small < 16 * 1024
    # Other processes may have taken much of what lies in one piece.
    assert large > small + 16 * 1024
