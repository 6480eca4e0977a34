"""COMMAND and its subcommands: what they say of our commands is, to the byte, what a real server says of its own."""

from __future__ import annotations

import pytest

from node import commands
from node.gates import gates_of
from tests.node.conftest import Pair
from wire.syntax import Argument, parse_syntax
from wire.table import CommandTable

TABLE = CommandTable(commands.MODULES, gates_of)
# Of Redis 7.4.
FIELD_EXPIRY = tuple(
    f"h{verb}" for verb in ("expire", "pexpire", "expireat", "pexpireat", "ttl", "pttl", "expiretime", "pexpiretime")
) + ("hpersist",)
# Of Redis 8.0.
COMBINED = ("hgetdel", "hgetex", "hsetex")
# Of Redis 8.4.
COMPARING = ("set", "delex", "digest", "msetex")
# Of Redis 8.2.
DELETING = ("xdelex", "xackdel")
# Of Redis 7.4: answered while data are loaded.
ANSWERED = ("cluster|slots", "cluster|shards")
# Not in Redis 7.0, or with subcommands or options that it does not have.
NEWER = (
    *("client|setinfo", "client|no-touch", "cluster|myshardid", "cluster|slot-stats", "zrank", "zrevrank", "waitaof"),
    *(*FIELD_EXPIRY, *COMBINED, *COMPARING, *DELETING, *ANSWERED),
)
# Containers list their subcommands, of which Redis may have more; the entries of the others are compared whole.
PLAIN = [name for name, command in TABLE.all.items() if not command.subcommands]


@pytest.mark.parametrize("proto", ["2", "3"])
def test_command_info(pair: Pair, proto: str) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("HELLO", proto)
    subcommands = [sub.name for command in TABLE.all.values() for sub in command.subcommands.values()]
    for name in [*PLAIN, *subcommands]:
        if name not in NEWER:
            assert ours.ask("COMMAND", "INFO", name) == theirs.ask("COMMAND", "INFO", name), name


@pytest.mark.parametrize(
    "line",
    [
        "COMMAND INFO nosuch",
        "COMMAND INFO get nosuch GET",
        "COMMAND INFO client|nosuch",
        "COMMAND DOCS nosuch",
        "COMMAND NOSUCH",
        "COMMAND GETKEYS SET a b",
        "COMMAND GETKEYS set a",
        "COMMAND GETKEYS MSET a 1 b 2",
        "COMMAND GETKEYS PING x",
        "COMMAND GETKEYS nosuch a",
        "COMMAND GETKEYS set",
        "COMMAND GETKEYS EVAL x 0",
        "COMMAND GETKEYS EVAL x 1",
        "COMMAND GETKEYSANDFLAGS FCALL x 0",
        "COMMAND GETKEYSANDFLAGS MSET a 1 b 2",
        "COMMAND GETKEYSANDFLAGS SET a b GET",
        "COMMAND GETKEYSANDFLAGS PING x",
        "COMMAND GETKEYS RENAME a b",
        "COMMAND GETKEYS EVAL x 0 a",
        "COMMAND GETKEYS EVAL x 2 a",
        "COMMAND GETKEYS EVAL x -1 a",
        "COMMAND GETKEYS EVAL x y a",
        "COMMAND GETKEYSANDFLAGS FCALL f 0 a",
        "COMMAND GETKEYS ZUNIONSTORE d 0 a",
        "COMMAND GETKEYS ZUNIONSTORE d 3 a b",
        "COMMAND GETKEYSANDFLAGS ZUNIONSTORE d 2 a b",
        "COMMAND GETKEYS SPUBLISH a b",
        "COMMAND GETKEYS OBJECT ENCODING a",
        "COMMAND GETKEYS PFMERGE a",
        "COMMAND GETKEYS PFMERGE a b",
        "COMMAND GETKEYS MIGRATE host 1 k 0 10 KEYS a b",
        "COMMAND GETKEYS MIGRATE host 1 keys 0 10",
        "COMMAND GETKEYS MIGRATE host 1 k 0 10 AUTH KEYS",
        "COMMAND GETKEYS MIGRATE host 1 k 0 10 AUTH2 KEYS KEYS COPY",
        "COMMAND GETKEYS SORT a GET STORE b",
        "COMMAND GETKEYS SORT a BY STORE STORE b",
        "COMMAND GETKEYS SORT a LIMIT 0 STORE STORE b",
        "COMMAND GETKEYS SORT a STORE b STORE c DESC",
        "COMMAND GETKEYS SORT a STORE STORE b",
        "COMMAND GETKEYS SORT a ALPHA STORE",
        "COMMAND GETKEYSANDFLAGS SORT a GET # STORE b",
        "COMMAND GETKEYSANDFLAGS BITFIELD a GET u8 0 OVERFLOW WRAP GET u8 0",
        "COMMAND GETKEYSANDFLAGS BITFIELD a GET u8",
        "COMMAND GETKEYSANDFLAGS BITFIELD a OVERFLOW SAT INCRBY u8 0 1",
        "COMMAND GETKEYSANDFLAGS BITFIELD a NOSUCH",
        "COMMAND GETKEYSANDFLAGS MIGRATE host 1 k 0 10",
        "COMMAND LIST FILTERBY MODULE nosuch",
        "COMMAND LIST FILTERBY ACLCAT nosuch",
        "COMMAND LIST FILTERBY PATTERN nosuch*",
        "COMMAND LIST FILTERBY NOSUCH x",
        "COMMAND LIST FILTERBY ACLCAT",
        "COMMAND LIST nosuch",
        "COMMAND COUNT x",
        "COMMAND HELP",
        "COMMAND HELP x",
    ],
)
@pytest.mark.parametrize("proto", ["2", "3"])
def test_replies_are_a_real_servers(pair: Pair, proto: str, line: str) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("HELLO", proto)
    assert ours.ask(*line.split()) == theirs.ask(*line.split())


def test_every_list_has_what_the_table_has(pair: Pair) -> None:
    ours, _ = pair.connect()
    assert ours.ask("COMMAND", "COUNT") == b":%d\r\n" % len(TABLE.all)
    listed = ours.ask("COMMAND", "LIST").split(b"\r\n")[2::2]
    everything = [each for parent in TABLE.all.values() for each in (parent, *parent.subcommands.values())]
    assert [name.decode() for name in listed] == [each.name for each in everything]
    transactions = ours.ask("COMMAND", "LIST", "FILTERBY", "ACLCAT", "transaction").split(b"\r\n")[2::2]
    assert sorted(transactions) == [b"discard", b"exec", b"multi", b"unwatch", b"watch"]
    gets = ours.ask("COMMAND", "LIST", "FILTERBY", "PATTERN", "GE*").split(b"\r\n")[2::2]
    assert b"getex" in gets
    assert b"set" not in gets


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        ("key", ["key:key"]),
        ("key value [NX | XX]", ["key:key", "value:string", "nx-or-xx:oneof?(nx:pure-token=NX, xx:pure-token=XX)"]),
        ("key [key ...]", ["key:key*"]),
        ("key value [key value ...]", ["key-value:block*(key:key, value:string)"]),
        ("[MATCH pattern] [COUNT count]", ["pattern:pattern=MATCH?", "count:integer=COUNT?"]),
        ("[client-id ...]", ["client-id:integer?*"]),
        ("[WEIGHTS weight [weight ...]]", ["weight:integer=WEIGHTS?*"]),
        ("[TYPE type [TYPE type ...]]", ["type:string=TYPE?*"]),
        ("ADDR ip:port value:integer", ["ip:port:string=ADDR", "value:integer"]),
        ("<ON | OFF>", ["on-or-off:oneof(on:pure-token=ON, off:pure-token=OFF)"]),
    ],
)
def test_syntax_lines_become_arguments(line: str, shape: list[str]) -> None:
    assert [_shape(argument) for argument in parse_syntax(line)] == shape


@pytest.mark.parametrize("line", ["[key", "key ]", "<a | b"])
def test_brackets_must_pair_up(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message quotes the line
        parse_syntax(line)


def test_every_declared_syntax_can_be_read() -> None:
    for command in TABLE.all.values():
        for each in (command, *command.subcommands.values()):
            parse_syntax(each.spec.syntax)


def _shape(argument: Argument) -> str:
    inner = ", ".join(_shape(each) for each in argument.arguments)
    token = f"={argument.token}" if argument.token else ""
    flags = ("?" if argument.optional else "") + ("*" if argument.multiple else "")
    return f"{argument.name}:{argument.type}{token}{flags}" + (f"({inner})" if inner else "")
