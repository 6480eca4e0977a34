"""The file that a history is: what is recorded is read back, and what is no history is refused by line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import count

import pytest

from lab.history import HistoryError, Kind, Moment, Operation, Outcome, Recorder, read

HEADER = '{"shardlab_history":1}\n'
BEGIN = '{"at":1,"begin":0,"process":0,"function":"write","key":"k","argument":"v"}\n'
END = '{"at":2,"end":0,"outcome":"ok","result":null}\n'


def clock() -> Iterator[float]:
    return (float(second) for second in count(100))


def test_what_is_recorded_is_read_back() -> None:
    file = io.StringIO()
    ticks = clock()
    recorder = Recorder(file, lambda: next(ticks), seed=7)
    first = recorder.begin(0, "write", "k", "v", group="g")
    second = recorder.begin(1, "incr", "c", 0)
    recorder.moment(Kind.FAULT, "kill", "node-0", ["g"])
    recorder.end(second, Outcome.FAIL, error="CLUSTERDOWN")
    recorder.end(first, Outcome.OK, node="127.0.0.1:7000")
    recorder.begin(2, "read", "k", replica=True)
    history = read(io.StringIO(file.getvalue()))
    assert history.about == {"seed": 7}
    # Times count from the recorder's start.
    assert history.operations == [
        Operation(0, "write", "k", "v", 1, 5, Outcome.OK, None, "g", node="127.0.0.1:7000"),
        Operation(1, "incr", "c", 0, 2, 4, Outcome.FAIL, error="CLUSTERDOWN"),
        Operation(2, "read", "k", None, 6, None, Outcome.UNKNOWN, replica=True),
    ]
    assert history.moments == [Moment(3, Kind.FAULT, "kill", "node-0", ("g",))]


def test_a_moment_that_is_only_known_later_has_its_own_time() -> None:
    file = io.StringIO()
    ticks = clock()
    Recorder(file, lambda: next(ticks)).moment(Kind.FAILOVER, "node-3", "node-0", ["g"], at=0.1234567)
    (moment,) = read(io.StringIO(file.getvalue())).moments
    assert moment == Moment(0.123457, Kind.FAILOVER, "node-3", "node-0", ("g",))


def test_what_was_under_way_when_the_recorder_died_is_unknown() -> None:
    (operation,) = read([HEADER, BEGIN]).operations
    assert operation.outcome is Outcome.UNKNOWN
    assert operation.completed_at is None
    assert operation.latest == float("inf")
    # A torn last line is as good as none.
    assert read([HEADER, BEGIN, END[:20]]).operations == [operation]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "line 1: not a history"),
        (["{}\n"], "line 1: not a history"),
        (['{"shardlab_history":2}\n'], "line 1: not a history"),
        ([HEADER, "nonsense\n"], "line 2: "),
        ([HEADER, "[]\n"], "line 2: not an object"),
        ([HEADER, '{"begin":0}\n'], "line 2: KeyError: 'at'"),
        ([HEADER, '{"at":"noon","begin":0}\n'], "line 2: TypeError: 'at' is 'noon'"),
        ([HEADER, BEGIN, BEGIN], "line 3: ValueError: operation 0 begins twice"),
        ([HEADER, BEGIN, END, END], "line 4: ValueError: operation 0 ends twice"),
        ([HEADER, END], "line 2: KeyError: 0"),
        ([HEADER, BEGIN, END.replace("2", "0")], "line 3: ValueError: operation 0 ends twice, or before it begins"),
        ([HEADER, BEGIN, END.replace("ok", "fine")], "line 3: ValueError: 'fine'"),
        ([HEADER, BEGIN.replace('"k"', "3")], "line 2: TypeError: 'key' is 3"),
        ([HEADER, '{"at":1,"moment":"party"}\n'], "line 2: ValueError: 'party'"),
        ([HEADER, BEGIN, BEGIN.replace('"begin":0', '"begin":1')], "client 0 does two things at once at 1"),
    ],
)
def test_what_is_no_history_is_refused(lines: list[str], complaint: str) -> None:
    with pytest.raises(HistoryError) as caught:
        read(lines)
    assert str(caught.value).startswith(complaint)


def test_an_operation_in_words() -> None:
    assert str(read([HEADER, BEGIN, END]).operations[0]) == '1.0000..2.0000 client 0: write k "v" [ok]'
