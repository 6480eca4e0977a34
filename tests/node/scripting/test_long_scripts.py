"""A script that takes too long: others are told BUSY, and it can be killed while it has written nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import redis

from tests.node.own_server import OwnServer
from tests.waiting import wait_for

_BUSY = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."


@pytest.fixture
def server(start_server: Callable[..., OwnServer]) -> OwnServer:
    return start_server("--busy-reply-threshold", "50", "--save", "").wait_ready()


def _client(server: OwnServer) -> redis.Redis:
    return redis.Redis(port=server.port, decode_responses=True, socket_timeout=20)


class _Running:
    """A script in a thread, with what came of it."""

    def __init__(self, server: OwnServer, *words: str) -> None:
        self._client = _client(server)
        self.outcome: object = None
        self._thread = threading.Thread(target=self._run, args=words)
        self._thread.start()

    def _run(self, *words: str) -> None:
        try:
            self.outcome = self._client.execute_command(*words)
        except redis.RedisError as error:
            self.outcome = error

    def join(self) -> object:
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._client.close()
        return self.outcome


def _is_busy(client: redis.Redis) -> bool:
    try:
        client.get("x")
    except redis.RedisError as error:
        return "BUSY" in f"BUSY {error}"
    return False


@pytest.mark.parametrize(
    "code",
    [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "return coroutine.wrap(function() while true do end end)()",
        "local function f() return f() end return f()",
        "return string.rep('x', 10):gsub('x', function() while true do end end)",
    ],
)
def test_it_is_killed(server: OwnServer, code: str) -> None:
    client = _client(server)
    running = _Running(server, "EVAL", code, "0")
    wait_for(lambda: _is_busy(client), what="BUSY")
    assert client.script_kill()
    outcome = running.join()
    assert isinstance(outcome, redis.ResponseError)
    assert "Script killed by user with SCRIPT KILL..." in str(outcome)
    assert client.set("x", "1")
    assert client.eval("return 5", 0) == 5


def test_a_transaction_is_not_begun_meanwhile_and_one_with_a_script_is_one_step(server: OwnServer) -> None:
    client = _client(server)
    slow = "local n = 0 for i = 1, 3000000 do n = n + 1 end redis.call('INCR', 'n') return n"
    assert _Running(server, "EVAL", slow, "0").join() == 3_000_000
    pipeline = client.pipeline(transaction=True)
    pipeline.eval(slow, 0)
    pipeline.incr("n")
    assert pipeline.execute() == [3_000_000, 3]


def test_what_has_written_is_not_killed_and_is_passed_on_whole(server: OwnServer) -> None:
    client = _client(server)
    code = "redis.call('SET', 'a', '1') local n = 0 for i = 1, 20000000 do n = n + 1 end redis.call('SET', 'b', '2')"
    running = _Running(server, "EVAL", code, "0")
    wait_for(lambda: _is_busy(client), what="BUSY")
    with pytest.raises(redis.ResponseError, match="Sorry the script already executed write commands"):
        client.execute_command("SCRIPT", "KILL")
    assert running.join() is None
    assert client.mget("a", "b") == ["1", "2"]


def test_the_log_names_it(server: OwnServer) -> None:
    client = _client(server)
    sha = client.script_load("while true do end")
    running = _Running(server, "EVALSHA", sha, "0")
    wait_for(lambda: _is_busy(client), what="BUSY")
    client.script_kill()
    running.join()
    (line,) = [line for line in server.log.splitlines() if "Slow script detected" in line]
    assert line.endswith(f"using the SCRIPT KILL command. Script name is: {sha}.")


def test_a_write_without_a_change_counts_too(server: OwnServer) -> None:
    client = _client(server)
    code = "redis.call('DEL', 'nosuch') local n = 0 for i = 1, 20000000 do n = n + 1 end"
    running = _Running(server, "EVAL", code, "0")
    wait_for(lambda: _is_busy(client), what="BUSY")
    with pytest.raises(redis.ResponseError, match="Sorry the script already executed write commands"):
        client.execute_command("SCRIPT", "KILL")
    assert running.join() is None


def test_who_waits_is_served_when_it_has_ended(server: OwnServer) -> None:
    """Though commands that may run meanwhile do run."""
    client = _client(server)
    waiting = server.client()
    waiting.send(b"BLPOP list 0\r\n")
    long = "local n = 0 for i = 1, 20000000 do n = n + 1 end"
    code = f"redis.call('LPUSH', 'list', 'a') {long} redis.call('LPUSH', 'list', 'b')"
    running = _Running(server, "EVAL", code, "0")
    wait_for(lambda: _is_busy(client), what="BUSY")
    client.execute_command("MULTI")
    client.execute_command("DISCARD")
    assert not waiting.has_reply()
    assert running.join() is None
    assert waiting.read_reply() == b"*2\r\n$4\r\nlist\r\n$1\r\nb\r\n"


def test_each_has_its_own_kill(server: OwnServer) -> None:
    client = _client(server)
    running = _Running(server, "EVAL", "while true do end", "0")
    wait_for(lambda: _is_busy(client), what="BUSY")
    with pytest.raises(redis.ResponseError, match="You can only call SCRIPT KILL"):
        client.execute_command("FUNCTION", "KILL")
    assert client.script_kill()
    running.join()


def test_nothing_to_kill(server: OwnServer) -> None:
    with pytest.raises(redis.ResponseError, match="No scripts in execution right now"):
        _client(server).execute_command("SCRIPT", "KILL")


def test_endless_memory_is_refused(server: OwnServer) -> None:
    client = _client(server)
    with pytest.raises(redis.ResponseError, match="not enough memory"):
        client.eval("local s = 'x' while true do s = s .. s end", 0)
    assert client.eval("return 1", 0) == 1
