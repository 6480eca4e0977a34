"""Many seeds: every commit explores some that nobody has seen; the first that breaks something is named."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sim.main import main
from sim.swarm import command, shrink
from sim.trial import run
from sim.workers import WorkerDiedError, Workers
from tests.sim.test_planted import plan_of

ROOT = Path(__file__).parent.parent.parent
PROGRAM = [sys.executable, "-m", "lab", "sim"]
# CI has two processors, and time for this beside all other tests.
BUDGET_S = int(os.environ.get("SHARDLAB_SWARM_BUDGET", "120" if os.environ.get("CI") == "true" else "30"))
# Where there is less time, the runs are shorter, or a busy machine would end none.
_SHORT = ["--duration", f"{BUDGET_S / 4:g}s"]
_NICE = ["nice", "-n", "5"]
# What may come on top: three interpreters start, and have what they need imported.
_START_S = 30


def commit() -> str:
    """What is tested here; outside of a checkout a word that is always the same."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "shardlab"


@pytest.mark.timeout(BUDGET_S + 2 * _START_S)
def test_the_seeds_of_this_commit_break_nothing() -> None:
    # Behind the tests beside it that wait for real clocks; not last of all, or no run might end in time.
    swarm = subprocess.run(
        [*_NICE, *PROGRAM, "swarm", "--seeds-of", commit(), "--budget", f"{BUDGET_S}s", "--jobs", "2", *_SHORT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUDGET_S + _START_S,
    )
    assert swarm.returncode == 0, f"\n{swarm.stdout}{swarm.stderr}"


def test_a_swarm_stops_at_the_first_breach_and_names_its_replay(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of("never-step-down")
    words = shlex.split(command("swarm", plan))[2:]
    at = words.index("--seed")
    words[at : at + 2] = ["--seeds", f"{plan.seed}..{plan.seed + 50}", "--jobs", "1"]
    assert main(words) == 1
    printed = capsys.readouterr().out
    assert int(printed.split()[0]) < 10
    replay = re.search(r"^replay it:  shardlab sim (replay .*)$", printed, re.MULTILINE)
    digest = re.search(r"digest (\w+)", printed)
    assert replay is not None
    assert digest is not None
    assert main(shlex.split(replay[1])) == 1
    assert f"digest {digest[1]}" in capsys.readouterr().out


def test_a_swarm_ends_with_its_budget_whatever_has_begun(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    words = "swarm --seeds-of word --budget 2s --jobs 2 --duration 10h --masters 1 --faults kill"
    assert main(words.split()) == 1
    assert time.monotonic() - began < 2 + _START_S
    printed = capsys.readouterr().out
    assert "given up at the end of the budget: 2 runs\nnothing was tested" in printed
    assert not multiprocessing.active_children()


def test_the_death_of_a_worker_ends_a_swarm() -> None:
    with Workers(1, run) as workers:
        workers.idle()[0].begin(replace(plan_of("never-step-down"), duration_s=36_000.0))
        [child] = multiprocessing.active_children()
        child.kill()
        with pytest.raises(WorkerDiedError):
            list(workers.verdicts(None))


def test_what_a_run_raises_is_raised_where_its_verdict_is_wanted() -> None:
    with Workers(1, run) as workers:
        workers.idle()[0].begin(replace(plan_of("never-step-down"), bug="none of ours"))
        with pytest.raises(KeyError, match="none of ours") as caught:
            list(workers.verdicts(None))
    assert "in run" in caught.value.__notes__[0]


def test_a_swarm_shows_how_far_it_is() -> None:
    ours, theirs = pty.openpty()
    words = "--seeds 1..2 --jobs 1 --duration 1s --clients 1 --masters 1 --faults kill"
    swarm = subprocess.Popen(
        [*PROGRAM, "swarm", *words.split()],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    # An error is how a terminal ends when nobody has it open any more.
    with contextlib.suppress(OSError):
        while data := os.read(ours, 4096):
            shown += data
    os.close(ours)
    assert swarm.wait() == 0
    assert b"1/2" in shown


def test_fewer_faults_are_found_that_break_the_same() -> None:
    plan = plan_of("unsynced-vote")
    tried: list[int] = []
    whole = run(plan)
    smaller = shrink(plan, lambda strikes, _: tried.append(strikes))
    assert smaller.breaches[0].rule == whole.breaches[0].rule
    assert len(smaller.strikes) < len(whole.strikes)
    # What is left is needed, every one of it.
    assert len(smaller.strikes) == 1 or min(tried) == len(smaller.strikes) - 1
    again = run(replace(plan, only=tuple(strike.number for strike in smaller.strikes)))
    assert again.digest == smaller.digest
