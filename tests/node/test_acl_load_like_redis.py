"""ACL LOAD: who is hung up on, beside a real server with the same file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.node.conftest import Pair, started_pair

USERS = "user alice on nopass ~* &* +@all\nuser bob on nopass ~* &* +@all\n"


@pytest.fixture(scope="module")
def with_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    path = tmp_path_factory.mktemp("acl") / "users.acl"
    path.write_text(USERS)
    with started_pair(tmp_path_factory, "--aclfile", str(path)) as pair:
        yield pair


@pytest.mark.parametrize("loader", ["default", "alice"])
def test_all_but_the_default_user_are_hung_up_on(with_file: Pair, loader: str) -> None:
    told = []
    for port in (with_file.ours, with_file.theirs):
        clients = {
            name: redis.Redis(port=port, single_connection_client=True, **_login(name))
            for name in ("default", "alice", "bob")
        }
        for client in clients.values():
            assert client.ping()
        # With its answer, whoever asked.
        answers = [str(_ask(clients[loader], "ACL", "LOAD"))]
        answers += [str(_ask(client, "PING")) for client in clients.values()]
        told.append(answers)
        for client in clients.values():
            client.close()
    assert told[0] == told[1] == ["True", *("True" if name == "default" else "hung up" for name in clients)]


WRONG = """\
user a on +nosuch foo +@bad bar
user
user "a b
# a comment
  user c +get|x|y   on  \t

user d #abc
user d #abc
user e >pw <px
user f (+nosuch foo)
User g on
"""


def test_what_is_wrong_with_a_file(with_file: Pair) -> None:
    told = []
    for port in (with_file.ours, with_file.theirs):
        with redis.Redis(port=port) as client:
            path = Path(client.config_get("aclfile")["aclfile"])
            path.write_text(WRONG)
            with pytest.raises(redis.ResponseError) as refused:
                client.acl_load()
            told.append(str(refused.value))
            path.write_text(USERS)
    assert told[0] == told[1]


def _login(name: str) -> dict[str, str]:
    return {} if name == "default" else {"username": name, "password": "any"}


def _ask(client: redis.Redis, *words: str) -> object:
    """The reply by the connection that is open; nothing is dialled again."""
    connection = client.connection
    assert connection is not None
    try:
        connection.send_command(*words)
        return client.parse_response(connection, " ".join(words))
    except redis.ConnectionError:
        return "hung up"
