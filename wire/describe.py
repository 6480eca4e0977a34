"""Commands described: the replies of COMMAND, COMMAND INFO and COMMAND DOCS, made from declarations alone."""

from __future__ import annotations

from typing import Any

from wire.command import (
    ADMIN,
    BLOCKING,
    FAST,
    FLAG_NAMES,
    MAY_REPLICATE,
    PUBSUB,
    READONLY,
    WRITE,
    CommandSpec,
    KeySpec,
)
from wire.reply import Reply, ReplySet, Simple
from wire.syntax import Argument, parse_syntax
from wire.table import Command

# The ACL category that a group of commands is in (`acl.c`: ACLCommandCategories); server and cluster have none.
_CATEGORY_OF_GROUP = {
    "generic": "keyspace",
    "string": "string",
    "list": "list",
    "set": "set",
    "sorted_set": "sortedset",
    "sorted-set": "sortedset",
    "hash": "hash",
    "bitmap": "bitmap",
    "hyperloglog": "hyperloglog",
    "geo": "geo",
    "stream": "stream",
    "connection": "connection",
    "transactions": "transaction",
    "scripting": "scripting",
}
# All categories, in the order in which Redis lists them.
CATEGORIES = (
    *("keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo"),
    *("stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting"),
)


def categories(spec: CommandSpec) -> list[str]:
    """The ACL categories of a command: by its flags, and by its group unless the declaration names others."""
    found = list(spec.categories)
    if not found and spec.handler is not None and spec.group in _CATEGORY_OF_GROUP:
        found.append(_CATEGORY_OF_GROUP[spec.group])
    if spec.flags & WRITE:
        found.append("write")
    # A script reads by the commands that it calls.
    if spec.flags & READONLY and spec.group != "scripting":
        found.append("read")
    if spec.flags & ADMIN:
        found += ["admin", "dangerous"]
    if spec.flags & PUBSUB:
        found.append("pubsub")
    if spec.flags & BLOCKING:
        found.append("blocking")
    found.append("fast" if spec.flags & FAST else "slow")
    return [category for category in CATEGORIES if category in found]


def flag_names(spec: CommandSpec) -> list[str]:
    """The flags that COMMAND INFO shows; Redis keeps may_replicate to itself."""
    names = [name for flag, name in FLAG_NAMES.items() if spec.flags & flag and flag != MAY_REPLICATE]
    if any(_is_movable(key) for key in spec.keys):
        names.append("movablekeys")
    return names


def info(command: Command) -> Reply:
    """The entry of COMMAND and COMMAND INFO."""
    spec = command.spec
    first, last, step = _legacy_range(spec)
    return [
        spec.name.encode(),
        spec.arity,
        ReplySet(Simple(name.encode()) for name in flag_names(spec)),
        first,
        last,
        step,
        ReplySet(Simple(b"@" + category.encode()) for category in categories(spec)),
        ReplySet(tip.encode() for tip in spec.tips),
        ReplySet(_key_spec(key) for key in spec.keys),
        [info(sub) for sub in command.subcommands.values()] if command.subcommands else ReplySet(),
    ]


def docs(command: Command) -> Reply:
    """The entry of COMMAND DOCS."""
    spec = command.spec
    entry: dict[bytes, Any] = {
        b"summary": spec.summary.encode(),
        b"since": spec.since.encode(),
        b"group": spec.group.encode(),
    }
    if spec.complexity:
        entry[b"complexity"] = spec.complexity.encode()
    if spec.deprecated is not None:
        since, replaced_by = spec.deprecated
        entry[b"doc_flags"] = ReplySet([Simple(b"deprecated")])
        entry[b"deprecated_since"] = since.encode()
        entry[b"replaced_by"] = replaced_by.encode()
    if spec.history:
        entry[b"history"] = ReplySet([since.encode(), what.encode()] for since, what in spec.history)
    if spec.syntax:
        counter = _KeyCounter(len(spec.keys))
        entry[b"arguments"] = [_argument(argument, counter) for argument in parse_syntax(spec.syntax)]
    if command.subcommands:
        entry[b"subcommands"] = {sub.name.encode(): docs(sub) for sub in command.subcommands.values()}
    return entry


class _KeyCounter:
    """Says which key specification a key argument belongs to: the next one, and the last for all that follow."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._next = 0

    def take(self) -> int:
        index = min(self._next, max(self._count - 1, 0))
        self._next += 1
        return index


def _argument(argument: Argument, keys: _KeyCounter) -> dict[bytes, Any]:
    entry: dict[bytes, Any] = {b"name": argument.name.encode(), b"type": argument.type.encode()}
    if argument.type == "key":
        entry[b"key_spec_index"] = keys.take()
    if argument.token:
        entry[b"token"] = argument.token.encode()
    if argument.flags:
        entry[b"flags"] = ReplySet(Simple(flag.encode()) for flag in argument.flags)
    if argument.arguments:
        entry[b"arguments"] = [_argument(inner, keys) for inner in argument.arguments]
    return entry


def _key_spec(key: KeySpec) -> dict[bytes, Any]:
    entry: dict[bytes, Any] = {}
    if key.notes:
        entry[b"notes"] = key.notes.encode()
    entry[b"flags"] = ReplySet(Simple(flag.encode()) for flag in key.flags)
    if key.unknown:
        entry[b"begin_search"] = {b"type": b"unknown", b"spec": {}}
        entry[b"find_keys"] = {b"type": b"unknown", b"spec": {}}
        return entry
    if key.keyword:
        where: dict[bytes, Any] = {b"keyword": key.keyword.encode(), b"startfrom": key.begin}
        entry[b"begin_search"] = {b"type": b"keyword", b"spec": where}
    else:
        entry[b"begin_search"] = {b"type": b"index", b"spec": {b"index": key.begin}}
    if key.keynum >= 0:
        how = {b"keynumidx": key.keynum, b"firstkey": key.first, b"keystep": key.step}
        entry[b"find_keys"] = {b"type": b"keynum", b"spec": how}
    else:
        how = {b"lastkey": key.last, b"keystep": key.step, b"limit": key.limit}
        entry[b"find_keys"] = {b"type": b"range", b"spec": how}
    return entry


def _is_movable(key: KeySpec) -> bool:
    """Whether the keys' places depend on the arguments' values."""
    return key.unknown or bool(key.keyword) or key.keynum >= 0


def _legacy_range(spec: CommandSpec) -> tuple[int, int, int]:
    """First key, last key and step, as clients older than key specifications want them; zeros without any."""
    ranges = [key for key in spec.keys if not _is_movable(key)]
    if not ranges:
        return 0, 0, 0
    first = ranges[0].begin
    last_spec = ranges[-1]
    last = last_spec.begin + last_spec.last if last_spec.last >= 0 else last_spec.last
    step = ranges[0].step if len(ranges) == 1 else 1
    return first, last, step
