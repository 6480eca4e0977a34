from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lab.drivers.process import Life
from lab.lab_file import Entry, Lab
from lab.observe import Observation
from lab.table import table
from lab.topology import Role, Topology, seats
from tests.lab.test_readiness import MASTER, REPLICA, WATCH


def shown(*observations: Observation, width: int = 200) -> list[list[str]]:
    """The table's rows, as words, for a lab of one master, one replica, one sentinel and a proxy."""
    topology = Topology(masters=1, sentinels=1)
    folder = Path("/lab")
    lab = Lab(topology=topology, processes=[Entry.of(seat, folder, []) for seat in seats(topology)])
    for pid, entry in enumerate(lab.processes, start=50):
        entry.pid, entry.pid_started = pid, 1
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table(lab, list(observations), width))
    return [line.split() for line in capture.get().splitlines()]


HEALTHY = (
    Observation("node-0", Role.NODE, "h:1", Life.RUNNING, node=replace(MASTER, slots=((0, 99), (200, 200)), keys=7)),
    Observation("node-1", Role.NODE, "h:2", Life.RUNNING, node=REPLICA),
    Observation("sentinel-0", Role.SENTINEL, "h:3", Life.RUNNING, watches=(WATCH,)),
    Observation("proxy", Role.PROXY, "h:4", Life.RUNNING, answers=True),
)


def test_a_healthy_lab() -> None:
    assert shown(*HEALTHY) == [
        ["name", "port", "pid", "state", "role", "slots", "epoch", "link", "offset", "keys"],
        ["node-0", "7000", "50", "running", "M", "0-99", "200", "1", "1", "in", "sync", "10", "7"],
        ["node-1", "7001", "51", "running", "S", "1", "node-0", "up", "10", "(0)"],
        ["sentinel-0", "7100", "52", "running", "sentinel", "1", "master", "well"],
        ["proxy", "7200", "53", "running", "proxy"],
    ]


def test_a_lab_in_trouble() -> None:
    rows = shown(
        Observation("node-0", Role.NODE, "h:1", Life.DEAD),
        replace(HEALTHY[1], node=replace(REPLICA, link_up=False)),
        replace(HEALTHY[2], watches=(replace(WATCH, troubles=("s_down", "o_down")),)),
        Observation("proxy", Role.PROXY, "h:4", Life.RUNNING, silence="no answer in time"),
    )
    assert rows[1] == ["node-0", "7000", "-", "dead"]
    assert rows[2] == ["node-1", "7001", "51", "running", "S", "1", "node-0", "down", "10", "(0)"]
    assert rows[3] == ["sentinel-0", "7100", "52", "running", "sentinel", "shard-0:", "s_down", "o_down"]
    assert rows[4] == ["proxy", "7200", "53", "silent", "proxy", "no", "answer", "in", "time"]


def test_a_narrow_screen_cuts_nothing() -> None:
    node = replace(MASTER, slots=((0, 5460), (10923, 11000), (12000, 16383)), offset=123_456_789_012, keys=1_000_000)
    troubled = replace(WATCH, troubles=("s_down", "o_down", "disconnected"))
    narrow = shown(
        replace(HEALTHY[0], node=node), HEALTHY[1], replace(HEALTHY[2], watches=(troubled,)), HEALTHY[3], width=80
    )
    assert narrow[0] == ["name", "port", "state", "role", "slots", "link", "keys"]
    words = [word for row in narrow for word in row]
    assert [word for word in words if "\u2026" in word] == []
    assert {"0-5460", "10923-11000", "12000-16383", "1000000", "disconnected", "sentinel-0"} <= set(words)


def test_columns_that_tell_least_go_first() -> None:
    headers = {width: shown(*HEALTHY, width=width)[0] for width in (72, 80, 94)}
    assert headers[94] == ["name", "port", "pid", "state", "role", "slots", "epoch", "link", "offset", "keys"]
    assert headers[80] == ["name", "port", "pid", "state", "role", "slots", "epoch", "link", "keys"]
    assert headers[72] == ["name", "port", "pid", "state", "role", "slots", "link", "keys"]
