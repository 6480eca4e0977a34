"""The replica's side of the handshake, as transcripts: what the master says, what is done about it."""

from __future__ import annotations

import pytest

from node.replication.handshake import Failed, Handshake, Introduction, Phase, Request, Resumed, Resync, Step
from wire.encoder import encode_command

ID, OTHER = b"a" * 40, b"b" * 40


def words(request: Request) -> list[str]:
    """The commands of a request, one a line."""
    lines = request.data.split(b"\r\n")
    commands: list[str] = []
    for line in lines:
        if line.startswith(b"*"):
            commands.append("")
        elif line and not line.startswith(b"$"):
            commands[-1] = f"{commands[-1]} {line.decode()}".strip()
    return commands


def hold(handshake: Handshake, *lines: bytes) -> list[Step]:
    """Everything done in answer to these lines."""
    steps: list[Step] = []
    for line in lines:
        steps += handshake.receive(line)
    return steps


def introduction(**changes: object) -> Introduction:
    fields: dict[str, object] = {"auth": (), "port": 7001, "ip": b"", "replid": ID, "offset": 101}
    return Introduction(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_order_of_the_requests() -> None:
    handshake = Handshake(introduction())
    assert words(handshake.begin()) == ["PING"]
    steps = hold(handshake, b"+PONG")
    assert [words(step) for step in steps if isinstance(step, Request)] == [
        ["REPLCONF listening-port 7001", "REPLCONF capa eof capa psync2"]
    ]
    assert hold(handshake, b"+OK") == []
    (request,) = hold(handshake, b"+OK")
    assert isinstance(request, Request)
    assert words(request) == [f"PSYNC {ID.decode()} 101"]


def test_a_password_and_an_address_come_first() -> None:
    handshake = Handshake(introduction(auth=(b"user", b"secret"), ip=b"10.0.0.7", failover=True))
    (burst,) = hold(handshake, b"-NOAUTH Authentication required.")
    assert isinstance(burst, Request)
    assert words(burst) == [
        "AUTH user secret",
        "REPLCONF listening-port 7001",
        "REPLCONF ip-address 10.0.0.7",
        "REPLCONF capa eof capa psync2",
    ]
    (request,) = hold(handshake, b"+OK", b"+OK", b"+OK", b"+OK")
    assert isinstance(request, Request)
    assert words(request) == [f"PSYNC {ID.decode()} 101 FAILOVER"]


def ready() -> Handshake:
    """A handshake that waits for the answer to PSYNC."""
    handshake = Handshake(introduction())
    hold(handshake, b"+PONG", b"+OK", b"-ERR Unrecognized REPLCONF option: capa")
    assert handshake.phase is Phase.PSYNC
    return handshake


ANSWERS = [
    pytest.param(b"+FULLRESYNC " + OTHER + b" 42", [Resync(OTHER, 42)], id="a copy"),
    pytest.param(b"+CONTINUE " + ID, [Resumed(b"")], id="the same history"),
    pytest.param(b"+CONTINUE " + OTHER, [Resumed(OTHER)], id="the history has a new name"),
    pytest.param(b"+CONTINUE", [Resumed(b"")], id="a master that does not rename histories"),
    pytest.param(b"", [], id="a sign of life"),
    pytest.param(
        b"-ERR unknown command 'PSYNC'", [Request(b"SYNC\r\n"), Resync(b"", -1)], id="a master of before PSYNC"
    ),
]


@pytest.mark.parametrize(("line", "steps"), ANSWERS)
def test_answers_to_psync(line: bytes, steps: list[Step]) -> None:
    assert hold(ready(), line) == steps


GIVEN_UP = [
    pytest.param(b"-NOMASTERLINK Can't SYNC while not connected with my master", id="the master has no master"),
    pytest.param(b"-LOADING Redis is loading the dataset in memory", id="the master is loading"),
    pytest.param(b"+FULLRESYNC abc 42", id="an id that is none"),
    pytest.param(b"+FULLRESYNC", id="no id"),
]


@pytest.mark.parametrize("line", GIVEN_UP)
def test_answers_to_psync_that_end_the_attempt(line: bytes) -> None:
    (step,) = hold(ready(), line)
    assert isinstance(step, Failed)


def test_a_peer_that_does_not_answer_ping_is_no_master() -> None:
    (step,) = hold(Handshake(introduction()), b"-ERR unknown command 'PING'")
    assert isinstance(step, Failed)


def test_a_wrong_password_ends_the_attempt() -> None:
    handshake = Handshake(introduction(auth=(b"wrong",)))
    (_, step) = hold(handshake, b"+PONG", b"-WRONGPASS invalid username-password pair or user is disabled.")
    assert isinstance(step, Failed)
    assert "WRONGPASS" in step.reason


def test_requests_are_arrays_as_replication_wants_them() -> None:
    assert Handshake(introduction()).begin().data == encode_command([b"PING"])
