"""The linearizability checker meets histories that are right, histories that are wrong, and a checker without wit."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.check.linearizable import KeyReport, Verdict, check, check_key
from lab.check.models import COUNTER, REGISTER, SET, ModelError
from lab.history import Operation, Outcome
from tests.lab.check.histories import failed, failover, has_an_order, history, incr, op, read, recorded, unknown, write

MODELS = {"register": REGISTER, "counter": COUNTER, "set": SET}
FUNCTIONS = {
    "register": ("write", "read", "read", "cas"),
    "plain register": ("write", "read"),
    "counter": ("incr", "incr", "read"),
    "set": ("add", "add", "remove", "contains", "read"),
    "members": ("add", "remove", "contains"),
}


def judge(*operations: Operation) -> KeyReport:
    (report,) = check(history(*operations))
    return report


RIGHT = {
    "nothing but a read of nothing": [read(None, 0, 1)],
    "one after the other": [write("a", 0, 1), read("a", 2, 3), write("b", 4, 5), read("b", 6, 7)],
    "a read during a write may see it": [write("a", 0, 1), write("b", 2, 5), read("b", 3, 4, process=1)],
    "or not": [write("a", 0, 1), write("b", 2, 5), read("a", 3, 4, process=1)],
    "two reads during a write see old, then new": [
        *(write("a", 0, 1), write("b", 2, 9)),
        *(read("a", 3, 4, process=1), read("b", 5, 6, process=2)),
    ],
    "what ends as another begins is concurrent with it": [write("a", 0, 1), read(None, 1, 2, process=1)],
    "an unknown write happens much later": [
        *(write("a", 0, 1), unknown(write("b", 2, 3, process=1))),
        *(read("a", 4, 5), read("b", 6, 7)),
    ],
    "or never": [write("a", 0, 1), unknown(write("b", 2, 3, process=1)), read("a", 4, 5)],
    "or it was never heard of again": [write("a", 0, 1), unknown(write("b", 2, None, process=1)), read("b", 4, 5)],
    "a failed write did not happen": [write("a", 0, 1), failed(write("b", 2, 3)), read("a", 4, 5)],
    "cas that fits": [write("a", 0, 1), op("cas", ["a", "b"], 2, 3, True), read("b", 4, 5)],
    "cas that does not": [write("a", 0, 1), op("cas", ["x", "b"], 2, 3, False), read("a", 4, 5)],
    "an unknown write that only a failed cas noticed": [
        *(write("a", 0, 1), unknown(write("b", 2, 3, process=1))),
        op("cas", ["a", "c"], 4, 5, False),
    ],
    "a value that comes back": [write("a", 0, 1), write("b", 2, 3), write("a", 4, 5), read("a", 6, 7)],
    "a counter": [incr(1, 0, 1), incr(2, 2, 3), read(2, 4, 5)],
    "two increments at a time, answered out of order": [incr(2, 0, 5), incr(1, 0, 5, process=1), read(2, 6, 7)],
    "an unknown increment that counted": [incr(1, 0, 1), unknown(incr(None, 2, 3, process=1)), incr(3, 4, 5)],
    "and one that did not": [incr(1, 0, 1), unknown(incr(None, 2, 3, process=1)), incr(2, 4, 5)],
    "a set": [op("add", "x", 0, 1, True), op("add", "x", 2, 3, False), read(["x"], 4, 5)],
    "a set that does not say what changed": [op("add", "x", 0, 1), op("remove", "y", 2, 3), read(["x"], 4, 5)],
    "membership": [op("add", "x", 0, 1, True), op("contains", "x", 2, 3, True), read(["x"], 4, 5)],
}

WRONG = {
    "lost update": [
        *(write("a", 0, 1), op("cas", ["a", "b"], 2, 3, True), op("cas", ["a", "c"], 4, 5, True, process=1)),
    ],
    "stale read": [write("a", 0, 1), write("b", 2, 3), read("a", 4, 5, process=1)],
    "new, then old": [
        *(write("a", 0, 1), write("b", 2, 9)),
        *(read("b", 3, 4, process=1), read("a", 5, 6, process=2)),
    ],
    "value from nowhere": [write("a", 0, 1), read("z", 2, 3)],
    "value from the future": [read("a", 0, 1), write("a", 2, 3)],
    "a failed write that is seen": [write("a", 0, 1), failed(write("b", 2, 3)), read("b", 4, 5)],
    "a write that vanished": [write("a", 0, 1), read(None, 2, 3)],
    "an unknown write that comes and goes": [
        *(write("a", 0, 1), unknown(write("b", 2, 3, process=1))),
        *(read("b", 4, 5), read("a", 6, 7)),
    ],
    "cas that must not have fitted": [write("a", 0, 1), op("cas", ["x", "b"], 2, 3, True)],
    "cas that must have": [write("a", 0, 1), op("cas", ["a", "b"], 2, 3, False)],
    "an increment counted twice": [incr(1, 0, 1), incr(3, 2, 3)],
    "an unknown increment counted twice": [incr(1, 0, 1), unknown(incr(None, 2, 3, process=1)), incr(4, 4, 5)],
    "an increment lost": [incr(1, 0, 1), incr(1, 2, 3, process=1)],
    "an acknowledged increment that a read misses": [incr(1, 0, 1), incr(2, 2, 3), read(1, 4, 5)],
    "a member lost": [op("add", "x", 0, 1, True), read([], 2, 3)],
    "a member from nowhere": [op("add", "x", 0, 1, True), read(["x", "y"], 2, 3)],
    "a member that came back": [
        *(op("add", "x", 0, 1, True), op("remove", "x", 2, 3, True), op("contains", "x", 4, 5, True)),
    ],
    "added twice for the first time": [op("add", "x", 0, 1, True), op("add", "x", 2, 3, True, process=1)],
}


@pytest.mark.parametrize("name", RIGHT)
def test_right(name: str) -> None:
    report = judge(*RIGHT[name])
    assert report.verdict is Verdict.LINEARIZABLE
    assert report.culprit is None


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name: str) -> None:
    report = judge(*WRONG[name])
    assert report.verdict is Verdict.NOT_LINEARIZABLE
    # In all of these it is the last answer that does not fit, but for the one that looks into the future.
    expected = WRONG[name][0] if "future" in name else WRONG[name][-1]
    assert report.culprit == expected


def test_keys_are_judged_apart() -> None:
    reports = check(history(write("a", 0, 1, key="x"), read(None, 2, 3, key="y"), read(None, 2, 3, key="x", process=1)))
    assert {report.key: report.verdict for report in reports} == {
        "x": Verdict.NOT_LINEARIZABLE,
        "y": Verdict.LINEARIZABLE,
    }


def test_members_are_judged_apart_when_nobody_reads_them_all() -> None:
    reports = check(history(op("add", "x", 0, 1, True), op("contains", "y", 2, 3, True)))
    assert [(report.key, report.verdict) for report in reports] == [
        ("k x", Verdict.LINEARIZABLE),
        ("k y", Verdict.NOT_LINEARIZABLE),
    ]


def test_reads_from_replicas_are_not_judged() -> None:
    assert judge(write("a", 0, 1), read(None, 2, 3, replica=True)).operations == 1


def test_the_culprit_is_the_first_answer_that_does_not_fit() -> None:
    fine = [write(f"v{n}", n, n + 0.5) for n in range(20)]
    bad = read("v3", 10.6, 10.7, process=1)
    later = [read(f"v{n}", n + 0.6, n + 0.7, process=2) for n in range(12, 19)]
    assert judge(*fine, bad, *later).culprit == bad


def test_kinds_must_not_be_mixed() -> None:
    with pytest.raises(ModelError, match=r"^k: "):
        check(history(write("a", 0, 1), incr(1, 2, 3)))
    with pytest.raises(ModelError, match=r"^k: 'x' is not a counter's value"):
        check(history(incr(1, 0, 1), read("x", 2, 3)))


def test_out_of_steps_is_undecided_and_not_right_or_wrong() -> None:
    operations = recorded("set", Random(3), 60, 8, functions=FUNCTIONS["set"])
    assert check_key("k", SET, operations, steps_max=5).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("name", FUNCTIONS)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 40), clients=st.integers(1, 6), lost=st.sampled_from((0, 0.3)))
@settings(max_examples=60, deadline=None)
def test_what_an_atomic_object_does_is_accepted(name: str, seed: int, length: int, clients: int, lost: float) -> None:
    kind = {"plain register": "register", "members": "set"}.get(name, name)
    operations = recorded(kind, Random(seed), length, clients, functions=FUNCTIONS[name], lost=lost)
    assert {report.verdict for report in check(history(*operations))} == {Verdict.LINEARIZABLE}


def mangled(operations: list[Operation], rng: Random) -> list[Operation]:
    """One operation's result is another's, or its time is."""
    target = rng.randrange(len(operations))
    other = rng.choice(operations)
    changed = operations[target]
    if changed.ok and other.ok and changed.function == other.function and changed.result != other.result:
        changed = replace(changed, result=other.result)
    else:
        moved = rng.uniform(-3, 3)
        changed = replace(
            changed, invoked_at=changed.invoked_at + moved, completed_at=(changed.completed_at or 0) + moved
        )
    return [*operations[:target], changed, *operations[target + 1 :]]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_clever_and_dumb_agree(name: str) -> None:
    """On small histories, spoilt or not, with every chance that an order exists that is hard to find."""
    kind = {"plain register": "register", "members": "set"}.get(name, name)
    seen = {True: 0, False: 0}

    @given(seed=st.integers(0, 2**32), length=st.integers(2, 6), lost=st.sampled_from((0, 0.4)))
    @settings(max_examples=120, deadline=None, database=None)
    def agree(seed: int, length: int, lost: float) -> None:
        rng = Random(seed)
        operations = recorded(kind, rng, length, 4, functions=FUNCTIONS[name], lost=lost)
        for _ in range(rng.randrange(6)):
            operations = mangled(operations, rng)
        expected = has_an_order(kind, operations)
        seen[expected] += 1
        reports = check(history(*operations))
        accepted = all(report.verdict is Verdict.LINEARIZABLE for report in reports)
        assert accepted == expected, "\n".join(map(str, operations))

    agree()
    # Otherwise nothing was compared.
    assert min(seen.values()) > 0, seen


@pytest.mark.parametrize("lost", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("name", ["plain register", "register", "counter", "members"])
def test_a_thousand_operations_of_ten_clients_take_no_time(name: str, lost: float) -> None:
    kind = {"plain register": "register", "members": "set"}.get(name, name)
    operations = recorded(kind, Random(7), 1000, 10, functions=FUNCTIONS[name], lost=lost)
    started = time.process_time()
    reports = check(history(*operations))
    assert {report.verdict for report in reports} == {Verdict.LINEARIZABLE}
    assert time.process_time() - started < 1.0


def test_a_thousand_operations_are_refused_in_no_time_either() -> None:
    operations = recorded("register", Random(7), 1000, 10, functions=("write", "read"), lost=0.1)
    reads = [n for n, operation in enumerate(operations) if operation.function == "read"]
    old, late = operations[reads[len(reads) // 4]], reads[-len(reads) // 4]
    operations[late] = replace(operations[late], result=old.result)
    started = time.process_time()
    (report,) = check(history(*operations))
    assert report.verdict is Verdict.NOT_LINEARIZABLE
    assert report.culprit == operations[late]
    assert time.process_time() - started < 2.0


# What a failover may take back.

BEFORE = [write("a", 0, 1), write("b", 9.7, 9.75), write("c", 9.8, 9.85)]
STRUCK_AT, AT = 10.0, 10.6


def test_a_rollback_at_a_failover_is_explained_and_says_what_was_lost() -> None:
    (report,) = check(history(*BEFORE, read("a", 11, 12), moments=failover(STRUCK_AT, AT)), window_s=0.5)
    assert report.verdict is Verdict.EXPLAINED
    (rollback,) = report.rollbacks
    assert (rollback.before, rollback.after) == ("c", "a") or rollback.after == "a"
    assert rollback.lost == tuple(BEFORE[1:])
    assert rollback.failover.moment.at == AT


def test_a_read_before_the_fault_does_not_stand_in_its_way() -> None:
    operations = [*BEFORE, read("c", 9.9, 9.95), read("a", 11, 12)]
    (report,) = check(history(*operations, moments=failover(STRUCK_AT, AT)), window_s=0.5)
    assert report.verdict is Verdict.EXPLAINED


@pytest.mark.parametrize(
    ("operations", "moments", "window_s"),
    [
        # Without a failover nothing may be lost.
        ([*BEFORE, read("a", 11, 12)], [], 0.5),
        # Nor in another shard's.
        ([*BEFORE, read("a", 11, 12)], failover(STRUCK_AT, AT, "elsewhere"), 0.5),
        # Nor what was acknowledged long before it.
        ([*BEFORE, read("a", 11, 12)], failover(STRUCK_AT, AT), 0.2),
        # Nor before the fault.
        ([*BEFORE, read("b", 9.9, 9.95)], failover(STRUCK_AT, AT), 0.5),
        # Once only.
        ([*BEFORE, read("b", 11, 12), read("a", 13, 14)], failover(STRUCK_AT, AT), 0.5),
        # Nor after the failover was seen.
        ([*BEFORE, read("c", 10.7, 10.8), read("a", 11, 12)], failover(STRUCK_AT, AT), 0.5),
        # And what is new is not old.
        ([*BEFORE, read("z", 11, 12)], failover(STRUCK_AT, AT), 0.5),
    ],
)
def test_other_losses_are_not(operations: list[Operation], moments: list, window_s: float) -> None:  # type: ignore[type-arg]
    (report,) = check(history(*operations, moments=moments), window_s=window_s)
    assert report.verdict is Verdict.NOT_LINEARIZABLE
    assert report.culprit == operations[-1]


def test_a_counter_goes_back_too() -> None:
    operations = [incr(n, n, n + 0.5) for n in range(1, 10)]
    back = incr(8, 11, 12)
    (report,) = check(history(*operations, back, moments=failover(10, AT)), window_s=2.6)
    assert report.verdict is Verdict.EXPLAINED
    assert report.rollbacks[0].lost == tuple(operations[-2:])
    (report,) = check(history(*operations, back, moments=failover(10, AT)), window_s=1.0)
    assert report.verdict is Verdict.NOT_LINEARIZABLE


def test_a_member_goes_back_too() -> None:
    operations = [op("add", "x", 9.8, 9.9, True), op("contains", "x", 11, 12, False)]
    (report,) = check(history(*operations, moments=failover(STRUCK_AT, AT)), window_s=0.5)
    assert report.verdict is Verdict.EXPLAINED


def test_unknown_operations_are_counted() -> None:
    report = judge(write("a", 0, 1), unknown(write("b", 2, 3)), failed(write("c", 4, 5)), read("a", 6, 7))
    assert (report.operations, report.unknown) == (3, 1)
    assert Outcome("info") is Outcome.UNKNOWN


@pytest.mark.parametrize("name", ["plain register", "register", "counter"])
@given(
    seed=st.integers(0, 2**32),
    clients=st.integers(1, 6),
    lost=st.sampled_from((0, 0.3)),
    first=st.floats(0.5, 15),
    failovers=st.integers(0, 2),
    age=st.floats(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_an_object_that_goes_back_at_failovers_is_explained(
    name: str, seed: int, clients: int, lost: float, first: float, failovers: int, age: float
) -> None:
    struck = [first + 5 * number for number in range(failovers)]
    kind = {"plain register": "register"}.get(name, name)
    back = [(at, at - age) for at in struck]
    operations = recorded(kind, Random(seed), 40, clients, functions=FUNCTIONS[name], lost=lost, back=back)
    moments = [moment for at in struck for moment in failover(at - 0.1, at + 0.1)]
    (report,) = check(history(*operations, moments=moments), window_s=age)
    assert report.verdict in (Verdict.LINEARIZABLE, Verdict.EXPLAINED), "\n".join(map(str, operations))
    assert len(report.rollbacks) <= len(struck)
