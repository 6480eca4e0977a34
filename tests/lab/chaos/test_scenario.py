"""Scenario files: what is in them, and what is said of those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.chaos.main import main
from lab.chaos.scenario import SHIPPED, Scenario, ScenarioError, load, shipped
from lab.faults import World, faults
from sim.faults import Kind

SMALL = """
summary = "a kill"
duration = 3.0
[[faults]]
at = 1.0
kind = "kill"
whom = "master of shard-0"
"""


def scenario(folder: Path, text: str) -> Scenario:
    path = folder / "mine.toml"
    path.write_text(text)
    return load(str(path))


def test_a_small_file_has_the_usual_cluster_and_clients(tmp_path: Path) -> None:
    found = scenario(tmp_path, SMALL)
    assert found.name == "mine"
    assert found.worlds == [World.SIM, World.PROCESSES]
    assert found.faults[0].whom == ("master of shard-0",)
    topology, shape = found.cluster.topology(port_base=9000), found.cluster.shape()
    assert (topology.masters, topology.replicas, topology.sentinels, topology.port_base) == (3, 1, 3, 9000)
    assert (shape.masters, shape.replicas, shape.sentinels, shape.failover) == (3, 1, 3, "sentinel")


def test_both_worlds_get_the_same_cluster(tmp_path: Path) -> None:
    found = scenario(
        tmp_path,
        SMALL
        + """
[cluster]
masters = 5
replicas = 2
failover = "cluster"
down-after-milliseconds = 900
directives = ["min-replicas-to-write 1"]
""",
    )
    topology, shape = found.cluster.topology(), found.cluster.shape()
    for one in (topology, shape):
        assert (one.masters, one.replicas, one.sentinels, one.failover) == (5, 2, 0, "cluster")
        assert (one.down_after_ms, one.directives) == (900, ("min-replicas-to-write 1",))


@pytest.mark.parametrize(
    ("instead", "of", "complaint"),
    [
        ("duration = ", "duration = 3.0", "Invalid value (at line 3"),
        ("", 'summary = "a kill"', "summary: Field required"),
        ("duration = 3.0\nvolume = 3", "duration = 3.0", "volume: unknown setting"),
        ('kind = "meteorite"', 'kind = "kill"', "faults.0.kind: Input should be 'kill', 'power-cut'"),
        ("at = -1", "at = 1.0", "faults.0.at: Input should be greater than or equal to 0"),
        ("at = 3.5", "at = 1.0", "faults.0: strikes at 3.5 s, when the scenario is over"),
        ('whom = "the king"', 'whom = "master of shard-0"', "faults.0.whom.0: 'the king' is nobody: name a seat"),
        ('whom = "node-6"', 'whom = "master of shard-0"', "faults.0: there is no node-6 in this cluster"),
        ('whom = "sentinel-3"', 'whom = "master of shard-0"', "faults.0: there is no sentinel-3"),
        ('whom = "master of shard-3"', 'whom = "master of shard-0"', "faults.0: there is no master of shard-3"),
        ('whom = "client-0"', 'whom = "master of shard-0"', "faults.0: 'kill' cannot strike client-0"),
        ("whom = []", 'whom = "master of shard-0"', "faults.0: 'whom' names nobody"),
        ('others = "node-1"\nkind = "kill"', 'kind = "kill"', "faults.0: 'kill' has no other side"),
        ('amount = 2.0\nkind = "kill"', 'kind = "kill"', "faults.0: 'kill' has no amount"),
        ('kind = "slow-link"', 'kind = "kill"', "faults.0: 'slow-link' needs an amount: seconds of delay"),
    ],
)
def test_what_cannot_be_used_is_named_by_place(tmp_path: Path, instead: str, of: str, complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario(tmp_path, SMALL.replace(of, instead))
    assert str(caught.value).startswith(f"{tmp_path}/mine.toml: {complaint}")


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("[cluster]\nmasters = 0", "cluster: masters: Input should be greater than or equal to 1"),
        ('[cluster]\nfailover = "cluster"\nsentinels = 3', "cluster: sentinels and replicas must not both fail"),
        ("[workload]\nregisters = 0\ncounters = 0", "workload: without registers, counters and sets there is nothing"),
        ('[expect]\nlost-writes = "a few"', "expect.lost-writes: Input should be 'none', 'window' or 'some'"),
        ('[expect]\nmasters = { shard-9 = "node-0" }', "expect.masters: there is no shard-9 with node-0"),
    ],
)
def test_so_is_what_stands_in_tables(tmp_path: Path, more: str, complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario(tmp_path, SMALL + more)
    assert str(caught.value).startswith(f"{tmp_path}/mine.toml: {complaint}")


def test_every_complaint_has_a_line(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario(tmp_path, SMALL.replace("at = 1.0", "at = 'noon'").replace("duration = 3.0", "duration = 0"))
    assert len(str(caught.value).splitlines()) == 2


def test_the_data_file_has_every_fault_by_its_name() -> None:
    assert set(faults()) == set(Kind)
    # The simulator can do them all; what plain processes cannot is refused, by name, with the world that can.
    assert all(World.SIM in fault.drivers for fault in faults().values())
    assert [kind.value for kind, fault in faults().items() if World.PROCESSES in fault.drivers] == [
        "kill",
        "stop",
        "pause",
    ]


def test_what_a_driver_cannot_do_is_refused(tmp_path: Path) -> None:
    cut = scenario(tmp_path, SMALL.replace("kill", "cut"))
    assert cut.worlds == [World.SIM]
    (reason,) = cut.refusals(World.PROCESSES)
    assert reason == "faults.0: 'cut' cannot be done to plain processes of one machine; --world sim can"


def test_every_shipped_file_is_a_scenario_with_a_lesson() -> None:
    found = shipped()
    assert [one.name for one in found] == sorted(path.stem for path in SHIPPED.glob("*.toml"))
    assert all(one.summary and one.lesson for one in found)
    assert {one.name for one in found if World.PROCESSES not in one.worlds} == {
        "cut-off-a-master",
        "power-cut-always",
        "power-cut-everysec",
        "power-cut-snapshot",
        "split-brain",
        "split-brain-prevented",
    }
    # By its name from anywhere.
    assert load("kill-a-master") in found


def test_the_command_refuses_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, text in (
        (["run", "nonsense"], "there is no file nonsense, and no scenario of that name; see: shardlab chaos list"),
        (
            ["run", "split-brain", "--world", "both"],
            "split-brain: faults.0: 'cut' cannot be done to plain processes of one machine; --world sim can",
        ),
    ):
        assert main(words) == 2
        assert capsys.readouterr() == ("", f"shardlab chaos: {text}\n")


def test_the_list_has_every_scenario_and_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    first_words = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert first_words == ["scenario", *(one.name for one in shipped()), "fault", *(kind.value for kind in faults())]
