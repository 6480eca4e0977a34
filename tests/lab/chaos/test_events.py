"""Log lines become events: the same ones from a file of a real process and from the simulator's trace."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.chaos.events import NEMESIS, Event, Kind, Line, Reader
from lab.chaos.log_files import LogFiles, understand
from lab.chaos.roster import Roster, own_id
from lab.topology import Topology

NODE_3, SENTINEL_1 = "3" * 40, "a" * 40
NAMES = {"127.0.0.1 7003": "node-3", NODE_3: "node-3", SENTINEL_1: "sentinel-1"}


def roster() -> Roster:
    return Roster(Topology(), NAMES)


def read(*lines: tuple[str, str], cast: Roster | None = None) -> list[Event]:
    reader = Reader(cast or roster())
    found = [reader.read(Line(float(at), who, text)) for at, (who, text) in enumerate(lines)]
    return [event for event in found if event is not None]


def test_a_failover_in_the_words_of_the_programs() -> None:
    cast = roster()
    events = read(
        (NEMESIS, "strikes #0 kill node-0 for 3.000 s"),
        ("sentinel-0", "# +sdown master shard-0 127.0.0.1 7000"),
        ("sentinel-1", "# +sdown master shard-0 127.0.0.1 7000"),
        ("sentinel-1", "# +odown master shard-0 127.0.0.1 7000 #quorum 2/2"),
        ("sentinel-1", f"# +vote-for-leader {SENTINEL_1} 1"),
        ("sentinel-0", f"# +vote-for-leader {SENTINEL_1} 1"),
        ("node-3", "* Background saving started by pid 17"),
        ("node-3", "# Taking over the master (user request)."),
        ("sentinel-1", "# +switch-master shard-0 127.0.0.1 7000 127.0.0.1 7003"),
        ("sentinel-0", "# +switch-master shard-0 127.0.0.1 7000 127.0.0.1 7003"),
        (NEMESIS, "mends #0 kill"),
        ("node-0", f"* Configuration change detected. Reconfiguring myself as a replica of {NODE_3}"),
        cast=cast,
    )
    assert events == [
        Event(0, NEMESIS, Kind.STRUCK, "kill", "node-0"),
        # Of what several sentinels say, the first is the event; votes are all events.
        Event(1, "sentinel-0", Kind.SILENT, "shard-0"),
        Event(3, "sentinel-1", Kind.DOWN, "shard-0"),
        Event(4, "sentinel-1", Kind.VOTE, "", "for sentinel-1"),
        Event(5, "sentinel-0", Kind.VOTE, "", "for sentinel-1"),
        Event(7, "node-3", Kind.PROMOTED, "shard-0"),
        Event(8, "sentinel-1", Kind.SWITCHED, "shard-0", "node-3"),
        Event(10, NEMESIS, Kind.MENDED, "kill", "node-0"),
        Event(11, "node-0", Kind.DEMOTED, "node-0", "of node-3"),
    ]
    # And whom roles mean has changed with it.
    assert cast.resolve("master of shard-0") == "node-3"
    assert cast.resolve("replica of shard-0") == "node-0"
    assert cast.resolve("master of shard-1") == "node-1"
    assert cast.resolve("sentinel-1") == "sentinel-1"


def test_the_second_failover_of_a_shard_is_told_again() -> None:
    down = ("sentinel-0", "# +odown master shard-0 127.0.0.1 7000 #quorum 2/2")
    again = (NEMESIS, "strikes #1 pause node-3 for 1.000 s")
    assert [event.kind for event in read(down, down, again, down)] == [Kind.DOWN, Kind.STRUCK, Kind.DOWN]


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("# Failover election won: I'm the new master.", Event(0, "node-3", Kind.PROMOTED, "shard-0")),
        (f"# Failover auth granted to {NODE_3} for epoch 4", Event(0, "node-3", Kind.VOTE, "", "for node-3")),
        (f"* Marking node {NODE_3} as failing (quorum reached).", Event(0, "node-3", Kind.FAILING, "node-3")),
        ("# Starting a failover election for epoch 4.", Event(0, "node-3", Kind.CANDIDATE, "shard-0")),
        ("* Cluster state changed: fail", Event(0, "node-3", Kind.STOPS_SERVING, "node-3")),
        ("* Ready to accept connections", Event(0, "node-3", Kind.STARTED, "node-3")),
        ("# Redis is now ready to exit, bye bye...", Event(0, "node-3", Kind.ENDED, "node-3")),
        ("# +tilt #tilt mode entered", Event(0, "node-3", Kind.TILT, "node-3")),
    ],
)
def test_other_lines_that_tell_something(line: str, event: Event) -> None:
    assert read(("node-3", line)) == [event]


@pytest.fixture
def far_away() -> Iterator[None]:
    """Another time zone for this process: log lines are in local time."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Kathmandu"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("far_away")
def test_a_line_of_a_log_file_has_its_moment() -> None:
    # A quarter to six after UTC.
    understood = understand("23128:X 29 Nov 2026 21:39:28.123 # +odown master shard-0 127.0.0.1 7000")
    assert understood == (1795967668.123, "# +odown master shard-0 127.0.0.1 7000")


@pytest.mark.parametrize("line", ["", "Traceback (most recent call last):", "1:M 29 Foo 2026 15:54:28.123 # x"])
def test_what_is_no_log_line_is_passed_over(line: str) -> None:
    assert understand(line) is None


def test_log_files_are_read_as_they_grow(tmp_path: Path) -> None:
    path = tmp_path / "node-0.log"
    files = LogFiles({"node-0": path})
    assert files.new_lines() == []
    line = "7:M 29 Nov 2026 15:54:28.{} * one\n"
    path.write_text(line.format(100))
    files.skip()
    with path.open("a") as file:
        file.write(line.format(200) + line.format(300)[:20])
    assert [text for _, _, text in files.new_lines()] == ["* one"]
    with path.open("a") as file:
        file.write(line.format(300)[20:])
    # What was not a whole line then is one now.
    ((at, who, _),) = files.new_lines()
    assert (who, round(at % 1, 3)) == ("node-0", 0.3)
    assert files.new_lines() == []


def test_ids_are_read_off_the_configuration() -> None:
    other = "b" * 40
    assert own_id(f"port 1\nsentinel myid {SENTINEL_1}\nsentinel known-sentinel s h 1 {other}\n") == SENTINEL_1
    assert own_id(f"{other} h:1@2 master - 0 0 1 connected\n{NODE_3} h:2@3 myself,slave {other} 0 0 1 c\n") == NODE_3
    assert own_id("port 1\n") == ""
