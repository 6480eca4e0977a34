"""The benchmark by sizes, on sets small enough for a test."""

import re
import shutil

import pytest

from bench.sizes import FAMILIES, main


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="it measures beside redis-server, which is not here")
def test_a_small_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zset", "--sizes", "3,20", "--rounds", "1", "--operations", "32"]) == 0
    head, sizes, *rows = capsys.readouterr().out.splitlines()
    assert "microseconds" in head
    assert sizes.split() == ["zset", "3", "20"]
    assert len(rows) == len(FAMILIES["zset"].operations)
    for row in rows:
        assert re.search(r"( +\d+\.\d \(\d+\.\d\)){2}$", row), row
