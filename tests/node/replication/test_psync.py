"""Who may continue: the cases that were tried on a real master, and the histories behind them."""

from __future__ import annotations

import pytest

from node.replication.backlog import Backlog
from node.replication.history import NO_REPLID, History
from node.replication.psync import Continue, FullResync, decide

OLD, NEW, OTHER = b"a" * 40, b"b" * 40, b"c" * 40


def promoted() -> tuple[History, Backlog]:
    """A node that was a replica until byte 200 of the old history, and wrote 132 bytes since."""
    history = History(OLD)
    history.offset = 200
    backlog = Backlog(1000, 100)
    backlog.append(b"x" * 100)
    history.branch(NEW)
    backlog.append(b"y" * 132)
    history.offset += 132
    return history, backlog


CASES = [
    pytest.param(NEW, 333, True, id="has everything"),
    pytest.param(NEW, 334, False, id="has more than there is"),
    pytest.param(NEW, 101, True, id="the oldest byte kept"),
    pytest.param(NEW, 100, False, id="a byte no longer kept"),
    pytest.param(NEW.upper(), 333, True, id="ids have no case"),
    pytest.param(OLD, 201, True, id="was as far as we were when we were promoted"),
    pytest.param(OLD, 202, False, id="went on with the old history"),
    pytest.param(OLD, 150, True, id="was behind when we were promoted"),
    pytest.param(OTHER, 150, False, id="another history"),
    pytest.param(b"?", -1, False, id="has nothing"),
    pytest.param(NO_REPLID, 0, False, id="the id that says there is none"),
]


@pytest.mark.parametrize(("replid", "offset", "continues"), CASES)
def test_who_may_continue(replid: bytes, offset: int, continues: bool) -> None:
    history, backlog = promoted()
    answer = decide(history, backlog, replid, offset)
    assert isinstance(answer, Continue if continues else FullResync)


def test_nobody_continues_without_a_backlog() -> None:
    history = History(NEW)
    assert isinstance(decide(history, None, NEW, 1), FullResync)


def test_a_replica_that_asks_for_a_copy_is_not_logged_as_refused() -> None:
    history, backlog = promoted()
    answer = decide(history, backlog, b"?", -1)
    assert answer == FullResync("")
    refused = decide(history, backlog, OLD, 300)
    assert refused == FullResync("Requested offset for second ID was 300, but I can reply up to 201")


def test_a_copy_makes_the_history_the_masters() -> None:
    history, _ = promoted()
    history.adopt(OTHER, 7)
    assert (history.replid, history.offset, history.replid2, history.second_offset) == (OTHER, 7, NO_REPLID, -1)


def test_a_master_that_restarts_from_a_file_goes_on_counting() -> None:
    history = History(NEW)
    history.grow_out_of(OLD, 500)
    backlog = Backlog(100, history.offset)
    assert decide(history, backlog, OLD, 501) == Continue(501)
    assert isinstance(decide(history, backlog, OLD, 502), FullResync)
