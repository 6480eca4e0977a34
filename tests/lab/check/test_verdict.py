"""The verdict, and the command that prints it. The canary: it must be able to say no."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.check.main import main
from lab.check.verdict import Limits, judge
from lab.history import History, Kind, Moment, Operation
from tests.lab.check.histories import failed, failover, history, incr, op, read, unknown, write

GOOD = [
    *(write("a", 0, 1), write("b", 9.8, 9.9), failed(write("c", 10.1, 10.2)), unknown(write("d", 10.3, 10.4))),
    *(write("e", 10.7, 10.8, process=1), read("e", 20, 21)),
]
MOMENTS = failover(10, 10.6)


def test_good() -> None:
    judgement = judge(history(*GOOD, moments=MOMENTS))
    assert judgement.good, judgement.failures
    assert (judgement.faults, judgement.failovers, judgement.judged) == (1, 1, 5)


@pytest.mark.parametrize(
    ("operations", "moments", "complaint"),
    [
        (GOOD, [], "no fault struck"),
        ([], MOMENTS, "no operation succeeded"),
        ([failed(one) for one in GOOD], MOMENTS, "no operation succeeded"),
        (GOOD[:-1], MOMENTS, "no acknowledged write has a final read"),
        ([*GOOD[:-1], read("a", 20, 21)], MOMENTS, "register k is not linearizable; first at 20.0000"),
        ([write("a", 0, 1), read(None, 20, 21)], MOMENTS, "lost although it must not be: 0.0000"),
        ([*GOOD[:-1], read("z", 20, 21)], MOMENTS, "read, and written by nobody: 20.0000"),
        ([incr(1, 0, 1), read(2, 20, 21)], MOMENTS, "counter k is 2, but only 1 was attempted: counted twice"),
        ([incr(1, 0, 1), incr(-1, 2, 3, key="k"), read(0, 20, 21)], MOMENTS, "counter k is 0, but 2 was acknowledged"),
        ([*GOOD[:3], read("b", 9.95, 9.96)], MOMENTS, "all keys: no service after kill node-0 at 10.000 s"),
    ],
)
def test_not_good(operations: list[Operation], moments: list[Moment], complaint: str) -> None:
    judgement = judge(history(*operations, moments=moments))
    assert any(failure.startswith(complaint) for failure in judgement.failures), judgement.failures


def test_too_slow() -> None:
    slow = [write("a", 0, 1), failed(write("b", 10, 12)), write("c", 14, 15), read("c", 20, 21)]
    assert judge(history(*slow, moments=MOMENTS)).good
    (failure,) = judge(history(*slow, moments=MOMENTS), Limits(recovery_max_s=2.0)).failures
    assert failure == "all keys: 5.000 s without service after kill node-0"


def test_undecided_is_not_good() -> None:
    operations = [write(n, 0, 1, process=n) for n in range(6)] + [read(3, 20, 21)]
    judgement = judge(history(*operations, moments=MOMENTS), Limits(steps_max=1))
    assert any("is undecided after " in failure for failure in judgement.failures), judgement.failures


def test_calm_runs_need_no_fault() -> None:
    assert judge(history(write("a", 0, 1), read("a", 2, 3)), Limits(faults=False)).good


# The command.


def stored(folder: Path, run: History) -> Path:
    """The history as a file, each operation's end right after its beginning: the checkers go by the times."""
    lines: list[dict[str, object]] = [{"shardlab_history": 1}]
    for number, one in enumerate(run.operations):
        lines.append({"at": one.invoked_at, "begin": number, "process": number, "function": one.function})
        lines[-1] |= {"key": one.key, "argument": one.argument, "group": one.group}
        lines.append({"at": one.completed_at, "end": number, "outcome": one.outcome.value, "result": one.result})
    lines += [{"at": m.at, "moment": m.kind.value, "name": m.name, "target": m.target} for m in run.moments]
    path = folder / "history.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_command_on_a_good_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(stored(tmp_path, history(*GOOD, moments=MOMENTS)))]) == 0
    out = capsys.readouterr().out
    assert out.startswith("6 operations: 4 succeeded, 1 failed, 1 unknown; 5 judged, on 1 objects\n")
    assert "1 faults struck, 1 failovers were seen\n" in out
    assert "linearizability: 1 linearizable\n" in out
    assert "lost writes: 0 of 3 acknowledged\n" in out
    assert out.endswith("\nGOOD\n")


def test_the_command_explains_what_was_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lossy = [write("a", 0, 1), write("b", 9.8, 9.9), read("a", 20, 21)]
    assert main([str(stored(tmp_path, history(*lossy, moments=MOMENTS)))]) == 0
    out = capsys.readouterr().out
    assert "1 explained by lost writes" in out
    assert "register k went back to a at the failover to node-3, losing 1 acknowledged" in out
    assert "failover to node-3: 1 lost, acknowledged 100.0 ms before to 100.0 ms before the fault; 1 of them" in out
    assert "stale reads: 1 of 1: 1 from a successor; the oldest by 10100.0 ms" in out
    assert main([str(tmp_path / "history.jsonl"), "--window", "0.05"]) == 1
    assert "FAILURE: lost although it must not be: 9.8000" in capsys.readouterr().out


def test_the_command_on_a_bad_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = [*GOOD, op("read", None, 22, 23, "a")]
    assert main([str(stored(tmp_path, history(*bad, moments=MOMENTS)))]) == 1
    assert capsys.readouterr().out.endswith("\nNOT GOOD\n")


def test_the_command_on_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes").write_text("hello\n")
    for name, complaint in (("notes", "line 1: "), ("missing", "No such file or directory")):
        assert main([str(tmp_path / name)]) == 2
        assert f"{name}: {complaint}" in capsys.readouterr().err
    mixed = history(write("a", 0, 1), incr(1, 2, 3))
    assert main([str(stored(tmp_path, mixed))]) == 2


def test_checkers_need_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """Histories are judged where nothing of Shardlab's is installed."""
    path = stored(tmp_path, history(*GOOD, moments=MOMENTS))
    code = (
        "import sys; from lab.check.main import main; "
        f"status = main([{str(path)!r}]); "
        "others = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'lab', '__main__'}; "
        "sys.exit(status or (str(sorted(others)) if others else 0))"
    )
    # -S: without site-packages, where the others would be found.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr


def test_a_moment_without_groups_concerns_all() -> None:
    assert Moment(0, Kind.FAULT).concerns("g")
    assert not Moment(0, Kind.FAULT, groups=("h",)).concerns("g")
