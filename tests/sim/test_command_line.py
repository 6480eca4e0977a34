"""`shardlab sim` as a person sees it: a timeline with names, a verdict, a replay that is the same, fewer faults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.cluster import SimCluster
from sim.faults import _STRIKES, Kind, Strike, Undo
from sim.main import main

_SHORT = ["--duration", "4s", "--clients", "1", "--masters", "2", "--seed", "5"]


def test_a_run_shows_what_happened_by_name_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *_SHORT, "--faults", "kill"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 masters with 1 replicas each; 3 sentinels replace a master that is silent for 500 ms")
    strikes = [line for line in lines if re.match(r" +\d+\.\d{3}  nemesis +strikes #\d+ kill ", line)]
    assert strikes
    # Who, and not which address or id.
    timeline = [line for line in lines if re.match(r" +\d+\.\d{3}  ", line)]
    assert not [line for line in timeline if re.search(r"10\.0\.0\.\d|[0-9a-f]{40}", line)]
    assert re.match(r"seed 5 on Python 3\.\d+: [\d.]+ virtual seconds, \d+ events, digest [0-9a-f]{32}", lines[-5])
    assert lines[-4].startswith(f"faults: {len(strikes)} kill")
    assert lines[-1] == "good: every rule held"


def test_a_replay_has_every_event_and_the_same_digest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", *_SHORT]) == 0
    verdict = capsys.readouterr().out.splitlines()[-5:]
    file = tmp_path / "events"
    assert main(["replay", *_SHORT, "--out", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == verdict
    events = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    times = [float(event.split(" ", 1)[0]) for event in events]
    assert len(events) > 1000
    assert times == sorted(times)
    for kind in (r"> .* bytes [0-9a-f]{8}, arrives", r"~ .* bytes [0-9a-f]{8} arrives", r"nemesis strikes", r"start "):
        assert any(re.search(kind, event) for event in events), kind


def test_shrinking_finds_the_fault_that_matters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that ends itself when the wall clock jumps."""

    def leave(cluster: SimCluster, strike: Strike) -> Undo:
        process = cluster.seats[strike.targets[0]].process
        assert process is not None
        process.end(3)
        return lambda: None

    monkeypatch.setitem(_STRIKES, Kind.SKEW, leave)
    words = ["--seed", "11", "--duration", "6s", "--clients", "1", "--masters", "2", "--faults", "pause,kill,skew"]
    assert main(["run", *words]) == 1
    out = capsys.readouterr().out
    assert len(re.findall(r"strikes #\d+", out)) > 1
    assert re.search(r"^BROKEN  [\d.]+ no process fails: .* ended with status 3", out, re.MULTILINE)
    assert "replay it:  shardlab sim replay --seed 11 --masters 2 --duration 6s" in out
    assert main(["shrink", *words]) == 1
    shrunk = capsys.readouterr().out
    found = re.findall(r"^ +[\d.]+  #(\d+) skew ", shrunk, re.MULTILINE)
    assert len(found) == 1
    assert shrunk.strip().endswith(f"--only {found[0]}")
    # It breaks the rule by itself.
    assert main(["run", *words, "--only", found[0]]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "--seed"),
        (["run", "--seed", "1", "--faults", "flood"], "there is no fault 'flood', but kill, power-cut"),
        (["run", "--seed", "1", "--duration", "soon"], "'soon' is no time: 500ms, 90s, 3m, 1h"),
        (["run", "--seed", "1", "--nodes", "7"], "--nodes 7 cannot be 3 masters with as many replicas each"),
        (["run", "--seed", "1", "--masters", "0"], "at least one master"),
        (["replay", "--seed", "1", "--only", "first"], "'first' is no list of faults"),
        (["swarm", "--seeds", "few"], "'few' is no range of seeds: 1..1000"),
    ],
)
def test_what_is_not_understood_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err
