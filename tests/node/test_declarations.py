"""What the declarations say is what COMMAND INFO and COMMAND DOCS of a real server say."""

from __future__ import annotations

from collections.abc import Sequence

import hiredis
import pytest

from node import commands
from tests.node.conftest import Pair
from wire.command import CommandSpec, KeySpec
from wire.describe import categories, flag_names
from wire.syntax import Argument, parse_syntax

COMPLETE = ("string", "hash", "set", "stream", "generic", "transactions", "pubsub")
FAMILIES = (*COMPLETE, "sorted-set", "geo", "connection", "server")
# Of Redis 7.4.
FIELD_EXPIRY = tuple(
    f"h{verb}" for verb in ("expire", "pexpire", "expireat", "pexpireat", "ttl", "pttl", "expiretime", "pexpiretime")
) + ("hpersist",)
# Of Redis 8.0.
COMBINED = ("hgetdel", "hgetex", "hsetex")
# Of Redis 8.4.
COMPARING = ("delex", "digest", "msetex")
# Of Redis 8.2.
DELETING = ("xdelex", "xackdel")
# Redis 7.0 does not know them yet, or knows fewer arguments.
LATER = (
    "client|setinfo",
    "client|no-touch",
    "zrank",
    "zrevrank",
    "waitaof",
    *FIELD_EXPIRY,
    *COMBINED,
    *COMPARING,
    *DELETING,
)
EVERY = {
    spec.name: spec
    for module in commands.MODULES
    for spec in vars(module).values()
    if isinstance(spec, CommandSpec) and spec.name not in LATER
}
SPECS = {name: spec for name, spec in EVERY.items() if spec.group in FAMILIES}
# Redis 7.0 does not document the arguments of these, later ones do.
UNDOCUMENTED = ("command|getkeys", "command|getkeysandflags")
# With options that Redis 7.0 does not know.
EXTENDED = ("set", "client|kill", "xadd", "xtrim", "xreadgroup")


@pytest.fixture(scope="module")
def infos(servers: Pair) -> dict[str, list[object]]:
    """COMMAND INFO of the real server, by name, subcommands included."""
    infos: dict[str, list[object]] = {}
    for info in _ask(servers, "COMMAND"):
        infos[info[0]] = info
        infos.update((sub[0], sub) for sub in info[9])
    return infos


@pytest.fixture(scope="module")
def docs(servers: Pair) -> dict[str, dict[str, object]]:
    """COMMAND DOCS likewise."""
    docs: dict[str, dict[str, object]] = {}
    for name, doc in _pairs(_ask(servers, "COMMAND", "DOCS")).items():
        docs[name] = _pairs(doc)
        docs.update((sub, _pairs(subdoc)) for sub, subdoc in _pairs(docs[name].get("subcommands", [])).items())
    return docs


@pytest.mark.parametrize("name", SPECS)
def test_info(name: str, infos: dict[str, list[object]]) -> None:
    spec = SPECS[name]
    _, arity, flags, _, _, _, acl_categories, tips, key_specs, _ = infos[name]
    assert spec.arity == arity
    assert sorted(flag_names(spec)) == sorted(str(flag) for flag in flags)
    assert sorted(f"@{category}" for category in categories(spec)) == sorted(str(named) for named in acl_categories)
    assert list(spec.tips) == [str(tip) for tip in tips]
    assert [_as_redis_shows(key) for key in spec.keys] == [_nested(key) for key in key_specs]


@pytest.mark.parametrize("name", SPECS)
def test_docs(name: str, docs: dict[str, dict[str, object]]) -> None:
    spec, doc = SPECS[name], docs[name]
    assert (spec.group, spec.since) == (doc["group"], doc["since"])
    assert [list(entry) for entry in spec.history if entry[0] < "7.1"] == doc.get("history", [])
    assert spec.deprecated == ((doc["deprecated_since"], doc["replaced_by"]) if "deprecated_since" in doc else None)
    assert bool(spec.syntax) == bool(doc.get("arguments")) or name in UNDOCUMENTED
    assert spec.summary
    assert bool(spec.complexity) == ("complexity" in doc)


@pytest.mark.parametrize("name", SPECS)
def test_arguments_are_whole(name: str) -> None:
    """redis-cli dies of a choice without alternatives."""
    waiting = list(parse_syntax(SPECS[name].syntax))
    for argument in waiting:
        waiting.extend(argument.arguments)
        assert argument.name
        assert bool(argument.arguments) == (argument.type in ("oneof", "block"))


@pytest.mark.parametrize(
    "name",
    [name for name, spec in EVERY.items() if spec.syntax and name not in UNDOCUMENTED and name not in EXTENDED],
)
def test_words_and_types(name: str, docs: dict[str, dict[str, object]]) -> None:
    """From left to right; how they are grouped, and called, is each documentation's own."""
    if EVERY[name].since > "7.0.9":
        pytest.skip("not a command of the real server")
    # MIGRATE's key may be "", a token that only MIGRATE has.
    ours = [word.replace('""', "") for word in _in_line(parse_syntax(EVERY[name].syntax))]
    assert ours == _in_line([_as_argument(each) for each in docs[name].get("arguments", [])])


def _in_line(arguments: Sequence[Argument]) -> list[str]:
    line = []
    for argument in arguments:
        if argument.token or argument.type == "pure-token":
            line.append(argument.token)
        if argument.arguments:
            line += _in_line(argument.arguments)
        elif argument.type != "pure-token":
            line.append(argument.type)
    return line


def _as_argument(shown: list[object]) -> Argument:
    doc = _pairs(shown)
    inner = tuple(_as_argument(each) for each in doc.get("arguments", []))
    return Argument(str(doc["name"]), str(doc["type"]), token=str(doc.get("token", "")), arguments=inner)


def test_no_command_of_these_families_is_missing(docs: dict[str, dict[str, object]]) -> None:
    missing = {name for name, doc in docs.items() if doc["group"] in COMPLETE and name not in SPECS}
    assert not missing


def _as_redis_shows(key: KeySpec) -> dict[str, object]:
    shown: dict[str, object] = {"notes": key.notes} if key.notes else {}
    shown["flags"] = sorted(key.flags)
    if key.unknown:
        unknown = {"type": "unknown", "spec": {}}
        return {**shown, "begin_search": unknown, "find_keys": unknown}
    if key.keyword:
        search = {"type": "keyword", "spec": {"keyword": key.keyword, "startfrom": key.begin}}
    else:
        search = {"type": "index", "spec": {"index": key.begin}}
    if key.keynum >= 0:
        find = {"type": "keynum", "spec": {"keynumidx": key.keynum, "firstkey": key.first, "keystep": key.step}}
    else:
        find = {"type": "range", "spec": {"lastkey": key.last, "keystep": key.step, "limit": key.limit}}
    return {**shown, "begin_search": search, "find_keys": find}


def _nested(key_spec: object) -> dict[str, object]:
    shown = _pairs(key_spec)
    shown["flags"] = sorted(shown["flags"])
    for part in ("begin_search", "find_keys"):
        shown[part] = _pairs(shown[part])
        shown[part]["spec"] = _pairs(shown[part]["spec"])
    return shown


def _ask(servers: Pair, *words: str) -> list[object]:
    _, theirs = servers.connect()
    reader = hiredis.Reader(encoding="utf-8")
    reader.feed(theirs.ask(*words))
    servers.disconnect()
    return reader.gets()


def _pairs(flat: list[object]) -> dict[str, object]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
