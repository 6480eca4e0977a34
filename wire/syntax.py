"""The syntax line of a declaration, as the structured arguments that COMMAND DOCS gives.

A line is written as on Redis' command pages: ``key value [NX | XX] [EX seconds | KEEPTTL]``. Upper case is a literal
token, lower case an argument; brackets make optional, angle brackets group a choice, and ``[key ...]`` behind a key
says that there may be more of them. redis-cli draws its hints from the result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

_WORDS = re.compile(r"\.\.\.|[\[\]<>|]|[^\s\[\]<>|]+")
# An argument's type follows from its name, as on the command pages; whatever is not listed is a string. Where a name
# has another type than elsewhere, the line says so behind a colon.
_TYPES = {
    "key": ("key", "newkey", "source", "destination", "sourcekey", "destkey", "dst", "src"),
    "integer": (
        *("seconds", "milliseconds", "count", "cursor", "increment", "decrement", "offset", "start", "end", "stop"),
        *("index", "index1", "index2", "db", "destination-db", "numkeys", "numreplicas", "length", "client-id", "port"),
        *("slot", "start-slot", "end-slot", "epoch", "config-epoch", "protover", "timeout", "bus-port", "ttl"),
        *("numlocal", "port-number", "key-count", "limit", "rank", "num-matches", "len", "weight"),
    ),
    "double": (*("score", "increment-float", "min", "max", "longitude", "latitude", "radius", "width", "height"),),
    "unix-time": ("unix-time-seconds", "unix-time-milliseconds"),
    "pattern": ("pattern",),
}
_KINDS = ("string", *_TYPES)
_TYPE_OF = {name: kind for kind, names in _TYPES.items() for name in names}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command, perhaps made of others."""

    name: str
    type: str
    token: str = ""
    optional: bool = False
    multiple: bool = False
    multiple_token: bool = False
    arguments: tuple[Argument, ...] = field(default=())

    @property
    def flags(self) -> list[str]:
        """By the names that COMMAND DOCS uses."""
        named = {"optional": self.optional, "multiple": self.multiple, "multiple_token": self.multiple_token}
        return [name for name, on in named.items() if on]


def parse_syntax(line: str) -> tuple[Argument, ...]:
    """The arguments that `line` describes; raises ValueError when brackets do not pair up."""
    words = _WORDS.findall(line)
    arguments, rest = _sequence(words)
    alternatives = [arguments]
    while rest and rest[0] == "|":
        arguments, rest = _sequence(rest[1:])
        alternatives.append(arguments)
    if rest:
        raise ValueError(f"'{rest[0]}' closes nothing in '{line}'")
    return tuple(arguments) if len(alternatives) == 1 else (_as_one(alternatives),)


def _sequence(words: list[str]) -> tuple[list[Argument], list[str]]:
    """Arguments up to the end or to what closes or divides the group; and the words from there on."""
    found: list[Argument] = []
    while words and words[0] not in ("]", ">", "|", "..."):
        word, words = words[0], words[1:]
        if word in ("[", "<"):
            repeated, group, words = _group(words)
            if word == "[":
                _add_optional(found, group, repeated=repeated)
            else:
                found.append(replace(_as_one(group), multiple=repeated))
        elif _is_token(word) and words and _is_name(words[0]):
            found.append(replace(_named(words[0]), token=word))
            words = words[1:]
        elif _is_token(word) and words and words[0] == "<":
            _, group, words = _group(words[1:])
            found.append(replace(_as_one(group), token=word))
        elif _is_token(word):
            found.append(Argument(word.lower(), "pure-token", token=word))
        else:
            found.append(_named(word))
    return found, words


def _group(words: list[str]) -> tuple[bool, list[list[Argument]], list[str]]:
    """What stands between brackets: whether it ends in ``...``, its alternatives, and the words behind it."""
    alternatives: list[list[Argument]] = []
    repeated = False
    while True:
        sequence, words = _sequence(words)
        if not sequence:
            raise ValueError("there is nothing between the brackets")
        alternatives.append(sequence)
        if words and words[0] == "...":
            repeated = True
            words = words[1:]
        if not words:
            raise ValueError("a bracket is left open")
        closed, words = words[0] != "|", words[1:]
        if closed:
            return repeated, alternatives, words


def _add_optional(found: list[Argument], group: list[list[Argument]], *, repeated: bool) -> None:
    """Append an optional group, or mark what it repeats: ``key [key ...]`` is one argument that may come often.

    What stands before ``KEYS key [key ...]`` is said once, and before ``TYPE type [TYPE type ...]`` each time.
    """
    items = group[0]
    if repeated and len(group) == 1 and found[-len(items) :] == items:
        del found[-len(items) :]
        tokened = bool(items[0].token) and len(items) == 1
        found.append(replace(_as_one(group), multiple=True, multiple_token=tokened))
        return
    if repeated and len(group) == 1 and found and [replace(found[-1], token="")] == items:
        found[-1] = replace(found[-1], multiple=True)
        return
    one = _as_one(group)
    found.append(replace(one, optional=True, multiple=repeated or one.multiple))


def _as_one(group: list[list[Argument]]) -> Argument:
    """A group as a single argument: itself, a block, or a choice."""
    blocks = [items[0] if len(items) == 1 else _block(items) for items in group]
    if len(blocks) == 1:
        return blocks[0]
    return Argument("-or-".join(block.name for block in blocks), "oneof", arguments=tuple(blocks))


def _block(items: list[Argument]) -> Argument:
    return Argument("-".join(item.name for item in items), "block", arguments=tuple(items))


def _named(name: str) -> Argument:
    before, _, kind = name.partition(":")
    # A colon may also be part of the argument, as in ip:port.
    return Argument(before, kind) if kind in _KINDS else Argument(name, _TYPE_OF.get(name, "string"))


def _is_token(word: str) -> bool:
    return word not in ("[", "<", "|", "]", ">", "...") and word == word.upper()


def _is_name(word: str) -> bool:
    return word not in ("[", "<", "|", "]", ">", "...") and word != word.upper()
