"""Scenarios performed: every shipped one in the simulator, one short one in both worlds, side by side."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lab.chaos import simulated
from lab.chaos.events import Kind
from lab.chaos.main import main
from lab.chaos.outcome import conclude
from lab.chaos.scenario import SHIPPED, Scenario, load
from lab.chaos.timeline import timeline
from lab.check.main import main as check
from lab.faults import faults
from tests.lab.running import processes_in
from tests.ports import free_base

SHORT = """
summary = "a kill, for a test"
duration = 4.0
[cluster]
down-after-milliseconds = 1000
[workload]
clients = 3
[[faults]]
at = 0.5
kind = "kill"
whom = "master of shard-0"
lasting = 2.5
[expect]
service-within = 30.0
masters = { shard-0 = "node-3" }
"""
TWICE = """
summary = "one master after the other"
duration = 5.0
[cluster]
replicas = 2
[[faults]]
at = 0.5
kind = "kill"
whom = "master of shard-0"
[[faults]]
at = 2.0
kind = "stop"
whom = "master of shard-0"
[expect]
failovers = 2
"""


@pytest.fixture
def short(tmp_path: Path) -> Scenario:
    (tmp_path / "short.toml").write_text(SHORT)
    return load(str(tmp_path / "short.toml"))


@pytest.mark.parametrize("name", [path.stem for path in sorted(SHIPPED.glob("*.toml"))])
def test_a_shipped_scenario_is_as_it_says(name: str) -> None:
    scenario = load(name)
    outcome = conclude(scenario, simulated.run(scenario, seed=7))
    assert outcome.good, [outcome.failures, outcome.expectations]
    strikes = sum(1 if faults()[fault.kind].links else len(fault.whom) for fault in scenario.faults)
    assert outcome.recording.struck == strikes
    assert outcome.judgement.judged > 500


def test_the_simulator_speaks_no_tls(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "kill-a-master", "--tls"]) == 2
    assert "the simulator speaks no TLS; --world processes does" in capsys.readouterr().err


def test_the_seed_decides_everything(short: Scenario) -> None:
    one, again, other = (simulated.run(short, seed) for seed in (1, 1, 2))
    assert timeline(one) == timeline(again)
    assert one.history_text == again.history_text
    assert one.history_text != other.history_text


def test_roles_are_those_of_the_moment(tmp_path: Path) -> None:
    # The second fault asks for the master of the same shard, who is another by then, and is asked to end in order.
    (tmp_path / "twice.toml").write_text(TWICE)
    scenario = load(str(tmp_path / "twice.toml"))
    outcome = conclude(scenario, simulated.run(scenario, seed=1))
    assert outcome.good, [outcome.failures, outcome.expectations]
    told = outcome.recording.events
    first, second = [event.detail for event in told if event.kind is Kind.STRUCK]
    promoted = [event.who for event in told if event.kind is Kind.PROMOTED]
    assert (first, second) == ("node-0", promoted[0])
    assert [event.who for event in told if event.kind is Kind.ENDED] == [second]


def test_a_run_that_is_not_as_expected_is_not_good(short: Scenario) -> None:
    recording = simulated.run(short, seed=1)
    hasty = short.model_copy(update={"expect": short.expect.model_copy(update={"service_within": 0.1})})
    assert not conclude(hasty, recording).good
    quiet = short.model_copy(update={"expect": short.expect.model_copy(update={"failovers": 0})})
    assert not conclude(quiet, recording).good
    elsewhere = short.model_copy(update={"expect": short.expect.model_copy(update={"masters": {"shard-1": "node-4"}})})
    assert not conclude(elsewhere, recording).good
    showing = short.model_copy(update={"expect": short.expect.model_copy(update={"lost_writes": "some"})})
    assert not conclude(showing, recording).good
    assert not conclude(short, replace(recording, troubles=["node-1 ended by itself"])).good
    assert conclude(short, recording).good


def test_a_fault_that_finds_nothing_to_hurt_shows_nothing(short: Scenario) -> None:
    (kill,) = short.faults
    # Struck while it is dead already: that one does not count, and without the first nothing has struck.
    twice = short.model_copy(update={"faults": (kill, kill.model_copy(update={"at": 0.6, "whom": ("node-0",)}))})
    assert simulated.run(twice, seed=1).struck == 1
    recording = simulated.run(short, seed=1)
    unhurt = replace(recording.history, moments=[])
    outcome = conclude(short, replace(recording, history=unhurt))
    assert "no fault struck: the run shows nothing" in outcome.failures


@pytest.mark.parametrize("tls", [[], ["--tls"]], ids=["plain", "tls"])
def test_one_file_in_both_worlds_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tls: list[str]
) -> None:
    if tls and shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "short.toml").write_text(SHORT)
    folder = tmp_path / "lab"
    words = [
        "run",
        str(tmp_path / "short.toml"),
        "--world",
        "both",
        "--dir",
        str(folder),
        "--port-base",
        str(free_base()),
        *tls,
    ]
    status = main([*words, "--json", str(tmp_path / "report.json"), "--history", str(tmp_path / "history")])
    shown = capsys.readouterr()
    assert status == 0, shown.out + shown.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert [run["world"] for run in report["runs"]] == ["sim", "processes"]
    for run in report["runs"]:
        assert run["good"]
        assert run["faults_struck"] == 1
        # A busy machine gives its processes little time in four seconds; the simulator has as much as it wants.
        assert run["operations"]["judged"] > (100 if run["world"] == "sim" else 0)
        assert run["masters"]["shard-0"] == "node-3"
        # In this order, in either world; a sentinel that is late may say once more that the old master is down.
        kinds = dict.fromkeys(event["kind"] for event in run["timeline"])
        order = ["struck", "down", "elected", "promoted", "writes", "mended", "started", "demoted", "whole"]
        assert [kind for kind in kinds if kind in order] == order
    rows = {row["text"]: row for row in report["side_by_side"]}
    for text in ("fault: kill", Kind.PROMOTED.about("shard-0"), Kind.WRITES.about("shard-0"), Kind.WHOLE.value):
        assert rows[text]["difference_s"] is not None
        assert text in shown.out
    assert shown.out.count("GOOD") == 2
    assert (folder / "tls" / "lab.crt").exists() == bool(tls)
    # Real processes are gone; their logs, which were asked for, are there, and both histories can be judged again.
    assert not processes_in(folder)
    assert "+odown master shard-0" in "".join(path.read_text() for path in folder.glob("sentinel-*/*.log"))
    for world in ("sim", "processes"):
        assert check([str(tmp_path / f"history.{world}")]) == 0
