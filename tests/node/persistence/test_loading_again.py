"""DEBUG RELOAD and DEBUG LOADAOF: what others see while they are under way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient
from tests.node.test_info import fields
from tests.waiting import wait_for

_KEYS = 5000


@pytest.fixture
def server(start_server: Callable[..., OwnServer]) -> OwnServer:
    """One that takes half a second for its keys."""
    options = ("--enable-debug-command", "yes", "--appendonly", "yes", "--key-load-delay", "100", "--save", "1 1")
    server = start_server(*options).wait_ready()
    client = server.client()
    client.ask("DEBUG", "POPULATE", str(_KEYS))
    client.ask("BGREWRITEAOF")
    wait_for(lambda: fields(client, "persistence")["aof_rewrite_in_progress"] == "0", what="a base with the keys")
    return server


@pytest.mark.parametrize("how", ["RELOAD", "LOADAOF"])
def test_others_are_told_loading_until_it_is_done(server: OwnServer, how: str) -> None:
    loading, other = server.client(), server.client()
    loading.send(f"DEBUG {how}\r\nDBSIZE\r\n".encode())
    wait_for(lambda: other.ask("GET", "key:1").startswith(b"-LOADING"), what="the load to have begun")
    told = fields(other, "persistence")
    assert told["loading"] == "1"
    assert other.ask("DEBUG", "RELOAD").startswith(b"-LOADING")
    assert other.ask("DEBUG", "LOADAOF").startswith(b"-LOADING")
    assert loading.read_reply() == b"+OK\r\n"
    # What its client has sent behind it waits.
    assert loading.read_reply() == b":%d\r\n" % _KEYS
    assert other.ask("GET", "key:1") == b"$7\r\nvalue:1\r\n"
    assert fields(other, "persistence")["loading"] == "0"
    # No save point has put on disk what was loaded only in part.
    other.ask("DEBUG", "RELOAD", "NOSAVE")
    assert other.ask("DBSIZE") == b":%d\r\n" % _KEYS


def test_in_a_transaction_it_is_done_at_once(server: OwnServer) -> None:
    client, other = server.client(), server.client()
    client.ask_all([("MULTI",), ("DEBUG", "RELOAD"), ("DBSIZE",)])
    client.send(b"EXEC\r\n")
    assert other.ask("DBSIZE") == b":%d\r\n" % _KEYS
    assert client.read_reply() == b"*2\r\n+OK\r\n:%d\r\n" % _KEYS


def test_a_client_that_hangs_up_does_not_end_it(server: OwnServer) -> None:
    def is_loaded() -> bool:
        return other.ask("DBSIZE") == b":%d\r\n" % _KEYS

    loading, other = RawClient(server.port), server.client()
    loading.send(b"DEBUG RELOAD\r\n")
    wait_for(lambda: other.ask("DBSIZE").startswith(b"-LOADING"), what="the load to have begun")
    loading.close()
    wait_for(is_loaded, what="the end of the load")
