"""The swarm: what it holds, that one seed is one run, and that it sees what a missing safeguard does."""

import subprocess
import sys
from dataclasses import fields, replace

import pytest

from cluster.safeguards import Safeguards
from sim.rules.faults import KINDS, Fault
from sim.rules.main import main
from sim.rules.swarm import Scenario, run, shrink

# Of the first 300 seeds, one in which the rule's absence shows, and the invariant that breaks. When what is drawn from
# a seed changes, the test finds another one, slowly, and names it.
SEEDS = range(300)
NOTICED = {
    "vote_once_per_epoch": (29, "one vote an epoch"),
    "save_before_vote": (0, "an epoch is on disk before it is used"),
    "majority_for_election": (0, "a majority elects"),
    "majority_for_fail": (0, "FAIL needs a majority"),
    "vote_only_when_master_failed": (2, "votes against failed masters only"),
    "reject_stale_slot_claims": (0, "slots go to newer claims"),
    "reject_stale_candidates": (211, "no vote for an old copy"),
    "step_down_when_replaced": (0, "the cluster heals"),
    "minority_stops_serving": (4, "a minority stops serving"),
    "wait_before_serving": (2, "a master listens before it serves"),
    "resolve_epoch_collisions": (152, "the cluster heals"),
    "replica_data_age": (5, "only a fresh copy stands"),
}


def test_a_few_seeds_hold() -> None:
    verdicts = [run(Scenario(seed)) for seed in range(8)]
    assert [f"seed {v.seed}: {v.rule}: {v.detail}" for v in verdicts if not v.held] == []
    struck = sum((v.struck for v in verdicts), verdicts[0].struck.copy())
    judged = sum((v.judged for v in verdicts), verdicts[0].judged.copy())
    assert struck.keys() >= {"kill", "pause", "cut", "isolate"}
    assert judged.keys() >= {"vote", "fail", "promotion", "return"}


def test_seeds_with_takeovers_and_partitions_hold() -> None:
    """Seed 5296 found a rule that was missing (`cluster.slot_config.told`), seed 6757 a wait without an end
    (`cluster.comeback`), seed 6790 a candidate that asked for a late vote when its data were no longer fresh.

    The others blamed the rules for what is theirs to do. A master that gives way votes for its replica (5069), a
    take-over in a partition makes two electorates (5594), and a network that has become whole has not brought all news
    yet (5604).
    """
    kinds = ("kill", "power", "torn", "takeover", "failover", "partition", "pause")
    verdicts = [run(Scenario(seed, kinds=kinds)) for seed in (5069, 5296, 5594, 5604, 6757, 6790)]
    assert [f"seed {v.seed}: {v.rule}: {v.detail}" for v in verdicts if not v.held] == []


def test_one_seed_is_one_run_in_every_process() -> None:
    program = "from sim.rules.swarm import Scenario, run\nfor seed in (3, 4): print(run(Scenario(seed)).digest)"
    digests = [
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert digests[0] == digests[1] == "".join(f"{run(Scenario(seed)).digest}\n" for seed in (3, 4))
    assert len(set(digests[0].split())) == 2


def test_all_safeguards_but_those_about_data_are_noticed() -> None:
    """The rules alone have no data: what keeps the best copy is tested in `tests.cluster.test_safeguards`."""
    assert {field.name for field in fields(Safeguards)} - NOTICED.keys() == {"most_data_first"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rule", NOTICED)
def test_a_missing_safeguard_is_noticed(rule: str) -> None:
    known, broken = NOTICED[rule]
    guards = replace(Safeguards(), **{rule: False})
    for seed in (known, *SEEDS):
        verdict = run(Scenario(seed, guards=guards))
        if verdict.rule == broken:
            break
    else:
        pytest.fail(f"no seed of {SEEDS} notices that {rule} is missing")
    if seed != known:
        sys.stderr.write(f"{rule}: seed {seed} notices now, and no longer {known}\n")
    assert run(Scenario(seed)).held


def test_a_failing_swarm_names_the_command_that_replays_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["swarm", "--seeds", "0..3", "--jobs", "2", "--without", "majority_for_fail"]) == 1
    said = capsys.readouterr().out
    assert "BROKEN FAIL needs a majority" in said
    command = next(line for line in said.splitlines() if line.startswith("replay it with: "))
    words = command.removeprefix("replay it with: shardlab sim rules ").split()
    assert main(words) == 1
    assert "BROKEN FAIL needs a majority" in capsys.readouterr().out


def test_a_swarm_that_holds_says_what_it_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["swarm", "--seeds=0..1", "--duration=10"]) == 0
    said = capsys.readouterr().out
    assert "2 seeds" in said
    assert "struck: " in said
    # A swarm in which nothing strikes shows nothing: there is no replica to give this order to.
    assert main(["swarm", "--seeds=0..0", "--duration=1", "--replicas=0", "--faults=failover"]) == 1


def test_a_run_is_a_story_with_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--seed", "3", "--masters", "3", "--replicas", "1", "--faults", "kill"]) == 0
    said = capsys.readouterr().out
    assert "killed" in said
    assert "healed" in said


def test_what_is_not_understood(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--seed", "3", "--faults", "meteor"]) == 2
    assert main(["dance"]) == 2
    assert "faults are" in capsys.readouterr().err


def test_shrinking_leaves_what_is_needed() -> None:
    scenario = Scenario(0, guards=replace(Safeguards(), majority_for_fail=False))
    verdict = run(scenario)
    smaller, again = shrink(scenario, verdict)
    assert again.rule == verdict.rule
    assert smaller.faults is not None
    assert len(smaller.faults) <= len(verdict.faults)
    assert run(smaller).digest == again.digest


def test_every_kind_of_fault_can_strike() -> None:
    faults = tuple(
        Fault(kind, 500.0 * (1 + n), 300.0, who, amount=0.2)
        for n, (kind, who) in enumerate(
            {
                "kill": ("m0",),
                "power": ("m1",),
                "pause": ("m2",),
                "partition": ("m0", "r0"),
                "isolate": ("r1",),
                "cut": ("m0", "m1"),
                "slow": ("m0", "m1"),
                "loss": (),
                "torn": ("r2",),
                "takeover": ("r1",),
                "failover": ("r0",),
            }.items()
        )
    )
    assert {fault.kind for fault in faults} == set(KINDS)
    verdict = run(Scenario(1, masters=3, replicas=1, node_timeout_ms=2000, faults=faults))
    assert verdict.held, verdict.detail
    assert set(verdict.struck) == set(KINDS)
