"""ACL: what is said of users, and what they may do then, is what a real server says and does."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.node.conftest import Pair
from tests.node.own_server import OwnServer
from tests.node.raw_client import parse_reply
from tests.waiting import wait_for

# Said by the default user.
_RULES = """
ACL HELP
ACL CAT
ACL CAT foo
ACL WHOAMI
ACL LIST
ACL USERS
ACL GETUSER default
ACL GETUSER nobody
ACL SETUSER bob
ACL GETUSER bob
ACL SETUSER bob on >pw ~a* %R~r* %W~w* &ch* +@read -get '(~sel* +@write)'
ACL GETUSER bob
ACL LIST
ACL SETUSER bob +foo
ACL SETUSER bob @foo
ACL SETUSER bob +@foo
ACL SETUSER bob foo
ACL SETUSER bob <nope
ACL SETUSER bob '#zz'
ACL SETUSER bob %RR~a
ACL SETUSER bob %RWr~a
ACL SETUSER bob resetchannels '&a b'
ACL SETUSER bob %X~a
ACL SETUSER bob %~a
ACL SETUSER open %R
ACL GETUSER open
ACL SETUSER open %RW
ACL GETUSER open
ACL DELUSER open
ACL SETUSER bob -config|get|x
ACL SETUSER bob ~* ~x
ACL SETUSER bob allchannels &x
ACL SETUSER bob '+client|kill|foo'
ACL SETUSER bob '+client|nope'
ACL SETUSER bob '+get|a|b'
ACL SETUSER bob '-get|a|b'
ACL SETUSER bob '+nope|a|b'
ACL SETUSER bob '(+get' ~a
ACL SETUSER bob '(+get +set' ~a
ACL SETUSER 'a b' on
ACL DRYRUN bob get x
ACL DRYRUN bob strlen a1
ACL DRYRUN bob set zz x
ACL DRYRUN bob set sel1 x
ACL DRYRUN bob strlen r1
ACL DRYRUN bob set w1 x
ACL DRYRUN bob set w1 x GET
ACL DRYRUN bob mget a z
ACL DRYRUN bob config get x
ACL DRYRUN bob config
ACL DRYRUN bob config nosuch
ACL DRYRUN bob command
ACL DRYRUN nobody set a x
ACL DRYRUN bob nocmd
ACL DRYRUN bob get
ACL DRYRUN bob spublish ch1 m
ACL DRYRUN bob spublish zz m
ACL DRYRUN bob ssubscribe ch1 zz
ACL DRYRUN bob sunsubscribe zz
ACL GENPASS 0
ACL GENPASS x
ACL GENPASS 5000
ACL GENPASS 1 2
ACL LOG x
ACL LOG RESET
ACL LOG
ACL SAVE
ACL LOAD
ACL FOO
ACL SETUSER
ACL SETUSER bob reset
ACL GETUSER bob
ACL SETUSER bob nopass allkeys allcommands allchannels
ACL GETUSER bob
ACL SETUSER bob >one >two <one #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4
ACL GETUSER bob
ACL SETUSER bob resetkeys resetchannels nocommands clearselectors skip-sanitize-payload
ACL LIST
ACL DELUSER bob nobody
ACL DELUSER default
AUTH x
AUTH bob pw
"""
# Said by bob, who may do a little, in a connection of his own.
_DEEDS = """
AUTH bob bad
HELLO 2 AUTH bob bad
AUTH bob pw
GET a
GET
NOSUCH
STRLEN a
STRLEN r1
STRLEN z
SET r1 x
SET z x
SET a 1
MGET a r1 z
COPY r1 a1
COPY a1 r1
PUBLISH chx m
PUBLISH zz m
SUBSCRIBE zz
PSUBSCRIBE *
SPUBLISH chx m
SPUBLISH zz m
SSUBSCRIBE zz
MGET a r1 z b
RPUSH alist 1 2
SORT alist BY r*
SORT alist GET r*
SORT alist GET #
SORT alist BY nosort
SORT_RO alist BY r*
ACL WHOAMI
ACL LIST
CONFIG GET x
SELECT 1
SELECT 0
EVAL "return redis.call('get','a')" 0
EVAL "return redis.call('set','z', 1)" 0
EVAL "return redis.call('set','a', 1)" 1 z
EVAL "return redis.acl_check_cmd('set','z','1')" 0
EVAL "return redis.acl_check_cmd('set','a','1')" 0
EVAL "return redis.call('publish','zz','1')" 0
MULTI
GET a
SET a 1
EXEC
MULTI
SET z 1
EXEC
DEL a z
PING
"""
_BOB = (
    "on >pw ~a* %R~r* &ch* +@read -get +set +eval +spublish +ssubscribe +rpush +sort +sort_ro "
    "+multi +exec +publish +subscribe +psubscribe +acl|whoami +copy +del "
    "+select|0"
)


@pytest.fixture
def bob(pair: Pair) -> Pair:
    """Both servers, with bob; he is gone afterwards."""
    for client in pair.connect():
        client.ask("ACL", "SETUSER", "bob", "reset", *_BOB.split())
        client.ask("ACL", "LOG", "RESET")
    return pair


@pytest.fixture(autouse=True)
def _nobody_else(servers: Pair) -> None:
    for client in servers.connect():
        client.ask("ACL", "DELUSER", "bob")
    servers.disconnect()


@pytest.mark.parametrize("proto", ["2", "3"])
def test_rules(pair: Pair, proto: str) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("HELLO", proto)
    different = []
    for line in _RULES.strip().splitlines():
        replies = [client.ask(*shlex.split(line)) for client in (ours, theirs)]
        if replies[0] != replies[1]:
            different.append((line, *replies))
    for client in (ours, theirs):
        client.ask("ACL", "DELUSER", "bob")
    assert not different


def test_deeds_and_their_log(bob: Pair) -> None:
    different = []
    clients = bob.connect()
    for line in _DEEDS.strip().splitlines():
        replies = [client.ask(*shlex.split(line)) for client in clients]
        if replies[0] != replies[1]:
            different.append((line, *replies))
    assert not different
    logs = []
    for client in bob.connect():
        entries = parse_reply(client.ask("ACL", "LOG", "100"))
        wanted = (b"count", b"reason", b"context", b"object", b"username")
        logs.append([[pairs[pairs.index(name) + 1] for name in wanted] for pairs in entries])
        client.ask("ACL", "DELUSER", "bob")
    assert logs[0] == logs[1]


def test_categories_have_the_same_commands(pair: Pair) -> None:
    """Of those that both servers have."""
    ours, theirs = pair.connect()
    known = [set(parse_reply(client.ask("COMMAND", "LIST"))) for client in (ours, theirs)]
    both = known[0] & known[1]
    for category in parse_reply(theirs.ask("ACL", "CAT")):
        mine, other = (
            {name for name in parse_reply(client.ask("ACL", "CAT", category)) if name.split(b"|")[0] in both}
            for client in (ours, theirs)
        )
        # Containers have subcommands that only one of them has.
        assert {name for name in other - mine if b"|" not in name} == set(), category
        assert {name for name in mine - other if b"|" not in name} == set(), category


def test_exec_judges_again(bob: Pair) -> None:
    clients, masters = bob.connect(), bob.connect()
    for client, master in zip(clients, masters, strict=True):
        client.ask("AUTH", "bob", "pw")
        client.ask("MULTI")
        client.ask("SET", "a", "1")
        client.ask("STRLEN", "a")
        master.ask("ACL", "SETUSER", "bob", "-set")
    assert clients[0].ask("EXEC") == clients[1].ask("EXEC")
    for master in masters:
        master.ask("ACL", "DELUSER", "bob")


def test_a_user_that_goes_takes_its_clients_along(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--save", "").wait_ready()
    admin = redis.Redis(port=server.port)
    admin.acl_setuser("bob", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all"], channels=["news"])
    client = redis.Redis(port=server.port, username="bob", password="pw", retry=None)
    listener = client.pubsub()
    listener.subscribe("news")
    assert listener.get_message(timeout=2)["type"] == "subscribe"
    admin.execute_command("ACL", "SETUSER", "bob", "resetchannels")
    with pytest.raises(redis.ConnectionError):
        listener.connection.read_response()
    assert client.ping()
    admin.acl_deluser("bob")
    with pytest.raises((redis.ConnectionError, redis.AuthenticationError)):
        client.ping()


def test_the_selector_that_comes_closest_is_logged(pair: Pair) -> None:
    logged = []
    for client, other in zip(pair.connect(), pair.connect(), strict=True):
        client.ask("ACL", "SETUSER", "bob", "on", "nopass", "+mget", "~a", "(+mget ~a ~b)", "(+mget ~b)")
        other.ask("AUTH", "bob", "any")
        for words in ("MGET", "b", "z"), ("MGET", "a", "b", "z"), ("MGET", "z", "a"), ("GET", "a"):
            client.ask("ACL", "LOG", "RESET")
            other.ask(*words)
            entry = parse_reply(client.ask("ACL", "LOG", "1"))[0]
            logged.append((words, entry[entry.index(b"reason") + 1], entry[entry.index(b"object") + 1]))
    assert logged[:4] == logged[4:]


def test_weights_may_be_any_key_for_who_reads_them_all(pair: Pair) -> None:
    for client, other in zip(pair.connect(), pair.connect(), strict=True):
        client.ask("RPUSH", "list", "1")
        client.ask("ACL", "SETUSER", "bob", "on", "nopass", "(+sort ~list %R~*)")
        other.ask("AUTH", "bob", "any")
        assert other.ask("SORT", "list", "BY", "w*", "GET", "v*") == b"*1\r\n$-1\r\n"
        client.ask("ACL", "SETUSER", "bob", "clearselectors", "(+sort ~list %W~*)")
        assert b"BY option of SORT denied" in other.ask("SORT", "list", "BY", "w*")


def test_who_deletes_himself_hears_of_it(pair: Pair) -> None:
    for client in pair.connect():
        client.ask("ACL", "SETUSER", "bob", "on", "nopass", "+@all")
        client.ask("AUTH", "bob", "any")
        assert client.ask("ACL", "DELUSER", "bob") == b":1\r\n"
        # The end comes behind the reply.
        wait_for(client.is_hung_up, what="the end of the connection")


def test_files(start_server: Callable[..., OwnServer], tmp_path: Path) -> None:
    file = tmp_path / "users.acl"
    file.write_text("user default on nopass ~* &* +@all\nuser bob on >pw ~a* +get\n")
    server = start_server("--save", "", "--aclfile", str(file)).wait_ready()
    client = redis.Redis(port=server.port, decode_responses=True)
    assert client.acl_users() == ["bob", "default"]
    client.acl_setuser("eve", enabled=True, nopass=True, commands=["+ping"])
    assert client.acl_save()
    client.acl_deluser("bob", "eve")
    assert client.acl_load()
    assert client.acl_users() == ["bob", "default", "eve"]
    file.write_text("user bob on\nuser bob on\nbogus\nuser x +nosuch\n")
    with pytest.raises(
        redis.ResponseError, match="no change to the previously active ACL rules was performed"
    ) as error:
        client.acl_load()
    assert "Duplicate user 'bob' found on line 2" in str(error.value)
    assert f"{file}:3 should start with user keyword" in str(error.value)
    assert client.acl_users() == ["bob", "default", "eve"]
    bad = start_server("--save", "", "--aclfile", str(file), folder="bad")
    assert bad.wait_end() == 1
    assert "Aborting Redis startup because of ACL errors" in bad.log


def test_users_of_a_configuration_file_and_back(start_server: Callable[..., OwnServer], tmp_path: Path) -> None:
    file = tmp_path / "redis.conf"
    file.write_text("save ''\nuser bob on nopass ~a* +get\n")
    server = start_server(file=str(file)).wait_ready()
    client = redis.Redis(port=server.port, decode_responses=True)
    assert client.acl_users() == ["bob", "default"]
    client.acl_setuser("eve", enabled=True, nopass=True, commands=["+ping"])
    assert client.config_rewrite()
    server.kill()
    again = start_server(file=str(file)).wait_ready()
    client = redis.Redis(port=again.port, decode_responses=True)
    assert client.acl_list()[1:] == [
        "user default on nopass ~* &* +@all",
        "user eve on nopass resetchannels -@all +ping",
    ]
