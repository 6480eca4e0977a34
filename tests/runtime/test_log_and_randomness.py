"""Log lines in Redis' format, and chance that a seed repeats."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import pytest

from runtime.clock import SystemClock
from runtime.log import Level, Log, file_writer, stream_writer
from runtime.randomness import Randomness


def test_lines_look_like_redis() -> None:
    lines: list[str] = []
    log = Log(SystemClock(), lines.append, pid=42, role="M")
    log.debug("too detailed")
    log.verbose("too detailed")
    log.notice("Ready to accept connections")
    log.warning("careful")
    stamp = r"\d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}"
    assert len(lines) == 2
    assert re.fullmatch(rf"42:M {stamp} \* Ready to accept connections\n", lines[0])
    assert re.fullmatch(rf"42:M {stamp} # careful\n", lines[1])
    log.level = Level.DEBUG
    log.debug("detail")
    log.verbose("detail")
    assert [line.split()[-2] for line in lines[2:]] == [".", "-"]


def test_a_log_file_may_be_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(SystemClock(), file_writer(str(path)), pid=1)
    log.notice("one")
    path.rename(tmp_path / "log.1")
    log.notice("two")
    assert "one" in (tmp_path / "log.1").read_text()
    assert "two" in path.read_text()


def test_a_log_file_that_cannot_be_opened_is_noticed_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_writer(str(tmp_path / "nosuch" / "log"))


def test_a_seed_repeats_everything() -> None:
    one, two, other = Randomness(b"seed"), Randomness(b"seed"), Randomness(b"other")
    assert one.hex_id("run-id") == two.hex_id("run-id") != other.hex_id("run-id")
    assert re.fullmatch("[0-9a-f]{40}", one.hex_id("x"))
    assert len(one.hex_id("x", 8)) == 8


def test_streams_do_not_disturb_each_other() -> None:
    one, two = Randomness(b"seed"), Randomness(b"seed")
    for _ in range(10):
        one.stream("gossip").random()
    assert one.stream("election").random() == two.stream("election").random()
    assert one.stream("gossip") is one.stream("gossip")


def test_the_system_s_randomness_differs() -> None:
    assert Randomness.from_system().hex_id("run-id") != Randomness.from_system().hex_id("run-id")


def test_a_line_that_cannot_be_written_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    write = file_writer(str(folder / "redis.log"))
    (folder / "redis.log").unlink()
    folder.rmdir()
    write("lost\n")
    folder.mkdir()
    write("kept\n")
    assert (folder / "redis.log").read_text() == "kept\n"


def test_nobody_reads_the_output() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    write = stream_writer(stream)
    write("lost\n")
    write("lost, too\n")
    with contextlib.suppress(BrokenPipeError):
        stream.close()
