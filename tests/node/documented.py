"""Random calls of any command, made from what COMMAND DOCS says of its arguments, and mistakes in some of them.

Chance is a seeded `random.Random`: a seed gives the same calls again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.node.raw_client import RawClient, Words, parse_reply

# Keys of all types, some of two encodings, and none.
SETUP: tuple[Words, ...] = (
    ("SET", "string", "hello world"),
    ("SET", "number", "10"),
    ("SET", "double", "3.25"),
    ("SETRANGE", "bits", "1", "\x7f\x01"),
    ("RPUSH", "list", "a", "b", "c", "1", "2", "b", "\x01\n"),
    ("RPUSH", "numbers", "3", "1", "2", "1.5"),
    ("SADD", "set", "a", "b", "c", "10"),
    ("SADD", "integers", "1", "2", "3", "10"),
    ("HSET", "hash", "a", "1", "b", "x", "c", "1.5", "", ""),
    ("ZADD", "zset", "1", "a", "2", "b", "2", "c", "-inf", "d", "3.5", "e"),
    ("ZADD", "alike", "0", "a", "0", "aa", "0", "b", "0", "c"),
    ("GEOADD", "places", "13.361389", "38.115556", "a", "15.087269", "37.502669", "b", "2.3", "48.8", "c"),
    ("XADD", "stream", "1-1", "a", "1"),
    ("XADD", "stream", "2-0", "b", "2"),
    ("XADD", "stream", "3-3", "a", "3", "b", "4"),
    ("XGROUP", "CREATE", "stream", "a", "0"),
    ("XREADGROUP", "GROUP", "a", "b", "COUNT", "2", "STREAMS", "stream", ">"),
    ("PFADD", "loglog", "a", "b", "c"),
    ("PFADD", "loglog2", "c", "d"),
)
_KEYS = (
    *("string", "number", "double", "bits", "list", "numbers", "set", "integers", "hash", "zset", "alike", "places"),
    *("stream", "loglog", "loglog2", "missing", "missing2"),
)
# The keys that a group of commands is for; the others are tried, too.
_KEYS_OF = {
    "string": ("string", "number", "double", "missing"),
    "bitmap": ("string", "bits", "number", "missing"),
    "list": ("list", "numbers", "missing"),
    "set": ("set", "integers", "missing"),
    "hash": ("hash", "missing"),
    "sorted-set": ("zset", "alike", "places", "missing"),
    "geo": ("places", "zset", "missing"),
    "stream": ("stream", "missing"),
    "hyperloglog": ("loglog", "loglog2", "missing"),
}
_SMALL = ("0", "1", "2", "3", "-1", "-2", "5", "10", "100")
_ODD_INTEGERS = (
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "4294967296",
    "2147483648",
    "-2147483649",
    "18446744073709551615",
    "1.0",
    "1e2",
    " 1",
    "1 ",
    "+1",
    "01",
    "-0",
    "",
    "x",
    "0x10",
    "1\x00",
)
_DOUBLES = ("0", "1", "-1.5", "2.5", "1e3", "(1", "inf", "-inf", "+inf")
_ODD_DOUBLES = (
    "nan",
    "-nan",
    "(inf",
    "1e400",
    "-1e400",
    "1e-400",
    "infinity",
    "0x1p3",
    "1.",
    ".5",
    " 1",
    "1 ",
    "",
    "x",
    "1\x00",
    "(",
    "((1",
    "3.0000000000000000000001",
    "1e308",
    "17.999999999999999999",
)
_WORDS = ("a", "b", "c", "d", "", "1", "10", "x", "hello", "2", "a b", "\x00", "é")
_LEXICAL = ("-", "+", "[a", "(a", "[b", "(c", "[", "(", "a", "")
_IDS = (
    *("0", "0-0", "1-1", "2", "3-3", "3-4", "$", "*", ">", "-", "+", "(1-1", "(3-3", "5-*", "9-9", "1-", "-1", "x", ""),
    *("1-1-1", "18446744073709551615-18446744073709551615", "18446744073709551616"),
)
_PATTERNS = ("*", "a*", "[ab]", "?", "\\a", "[^a]", "[", "s*t", "")
_UNITS_OF_TIME = ("1", "100", "99999999999", "9999999999999", "0", "-5", "9223372036854775807", "9223372036854775", "x")
# Arguments that are called a string or an integer and are more than that.
_BY_NAME: dict[str, Sequence[str]] = {
    "id": _IDS,
    "start": (*_SMALL, *_IDS[:8]),
    "end": (*_SMALL, *_IDS[:8], "-1"),
    "stop": (*_SMALL, *_LEXICAL[:6], *_DOUBLES),
    "min": (*_DOUBLES, *_LEXICAL),
    "max": (*_DOUBLES, *_LEXICAL),
    "last-id": _IDS,
    "lastid": _IDS,
    "min-idle-time": ("0", "1", "-1", "x"),
    "threshold": ("0", "1", "10", "2-0", "3-3", "x", "-1"),
    "group": ("a", "a", "a", "b", ""),
    "consumer": ("b", "a", ""),
    "encoding": ("i8", "u8", "u1", "i64", "u63", "u64", "i65", "i0", "u", "x8", "I8", "i08"),
    "offset": ("0", "1", "7", "#0", "#1", "100", "-1", "#-1", "4294967295", "4294967296", "#", "x"),
    "bit": ("0", "1", "2", "-1", "x"),
    "value": (*_WORDS, *_SMALL),
    "increment": (*_SMALL, *_DOUBLES),
    "index": ("0", "1", "2", "-1", "15", "16", "x", "-100"),
    "longitude": ("13.4", "2", "-180", "180", "181", "x", "nan"),
    "latitude": ("38", "48", "-85", "85.05112878", "86", "x", "inf"),
    "radius": ("100", "1000", "0", "-1", "x", "1e308", "nan"),
    "width": ("100", "1000", "0", "-1", "x"),
    "height": ("100", "1000", "0", "-1", "x"),
    "weight": ("1", "2", "-0.5", "inf", "nan", "x"),
    "numkeys": ("1", "2", "1", "2", "3", "0", "-1", "x", "9223372036854775807", ""),
    "timeout": ("0.01", "0.001", "-1", "x", "inf", "nan", "1e300"),
    # Nothing that ends while the calls are made: the two servers are asked one after the other.
    "milliseconds": ("600000", "100000", "0", "-1", "x", "9223372036854775807"),
    "ttl": ("600000", "100000", "0", "-1", "x", "9223372036854775807"),
    "seconds": ("100", "0", "-1", "x", "9223372036854775807", "9223372036854776"),
    "cursor": ("0", "1", "-1", "x", "18446744073709551615", "18446744073709551616", ""),
    "type": ("string", "list", "LIST", "zset", "hash", "set", "stream", "x"),
    "slot": ("0", "1", "16383", "16384", "-1", "x"),
    "protover": ("2", "3", "4", "1", "x"),
    "count": (*_SMALL, "4", "1000", "0", "-3"),
}


@dataclass(frozen=True, slots=True)
class Documented:
    """A command or subcommand: its words, its group and its arguments as COMMAND DOCS has them."""

    name: tuple[str, ...]
    group: str
    arguments: list[dict[bytes, Any]] = field(repr=False)


def documented(server: RawClient) -> dict[str, Documented]:
    """All commands of a server, containers by their subcommands; the client must speak RESP3."""
    found: dict[str, Documented] = {}

    def add(name: bytes, entry: dict[bytes, Any]) -> None:
        words = tuple(name.decode().split("|"))
        if b"subcommands" in entry:
            for subcommand, inner in entry[b"subcommands"].items():
                add(subcommand, inner)
        else:
            group = entry[b"group"].decode()
            found[" ".join(words)] = Documented(words, group, entry.get(b"arguments", []))

    for name, entry in parse_reply(server.ask("COMMAND", "DOCS")).items():
        add(name, entry)
    return found


class Caller:
    """Makes calls of commands."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._group = ""
        # The last number of keys said, which the keys behind it mostly are as many as.
        self._keys = 0

    def call(self, command: Documented) -> Words:
        """One call; most are valid as to their shape."""
        self._group = command.group
        self._keys = 0
        words = [self._case(word) for word in command.name]
        head = len(words)
        groups = [self._argument(argument) for argument in command.arguments]
        words += [word for group in groups for word in group]
        if self._random.random() < 0.25:
            self._spoil(words, head)
        return tuple(words)

    def _spoil(self, words: list[str], head: int) -> None:
        kind = self._random.randrange(5)
        at = self._random.randint(head, len(words))
        if kind == 0 and at < len(words):
            del words[at]
        elif kind == 1:
            words.insert(at, self._random.choice(("x", "", "COUNT", "NX", "LIMIT", "WITHSCORES", "1", "-1")))
        elif kind == 2 and at < len(words):
            words.insert(at, words[at])
        elif kind == 3 and at + 1 < len(words):
            words[at], words[at + 1] = words[at + 1], words[at]
        elif at < len(words):
            words[at] = self._random.choice((*_ODD_INTEGERS, *_ODD_DOUBLES))

    def _argument(self, argument: dict[bytes, Any]) -> list[str]:
        flags = argument.get(b"flags", [])
        if b"optional" in flags and self._random.random() < 0.5:
            return []
        times = 1
        if b"multiple" in flags:
            times = self._keys if self._keys and argument[b"type"] == b"key" else self._random.choice((1, 1, 2, 2, 3))
        token = argument.get(b"token", b"").decode()
        words: list[str] = []
        for number in range(times):
            if token and (number == 0 or b"multiple_token" in flags):
                words.append(self._case(token))
            words += self._value(argument)
        return words

    def _value(self, argument: dict[bytes, Any]) -> list[str]:
        kind = argument[b"type"].decode()
        inner = argument.get(b"arguments", [])
        if kind == "oneof":
            return self._argument_of_choice(self._random.choice(inner))
        if kind == "block":
            groups = [self._argument(each) for each in inner]
            return [word for group in groups for word in group]
        if kind == "pure-token":
            return [] if argument.get(b"token") else [self._word(argument)]
        return [self._word(argument)]

    def _argument_of_choice(self, argument: dict[bytes, Any]) -> list[str]:
        return self._argument(
            {**argument, b"flags": [flag for flag in argument.get(b"flags", []) if flag != b"optional"]}
        )

    def _word(self, argument: dict[bytes, Any]) -> str:
        name = argument[b"name"].decode()
        kind = argument[b"type"].decode()
        word = self._plain_word(name, kind)
        if name == "numkeys" and word in ("1", "2", "3"):
            self._keys = int(word)
        return word

    def _plain_word(self, name: str, kind: str) -> str:
        choose = self._random.choice
        if kind == "key":
            near = _KEYS_OF.get(self._group)
            return choose(near) if near and self._random.random() < 0.8 else choose(_KEYS)
        odd = self._random.random() < 0.15
        if name in _BY_NAME and not odd:
            return choose(_BY_NAME[name])
        if kind == "integer":
            return choose(_ODD_INTEGERS if odd else _SMALL)
        if kind == "double":
            return choose(_ODD_DOUBLES if odd else _DOUBLES)
        if kind == "unix-time":
            return choose(_UNITS_OF_TIME)
        if kind == "pattern":
            return choose(_PATTERNS)
        return choose((*_ODD_INTEGERS, *_DOUBLES, *_ODD_DOUBLES) if odd else _WORDS)

    def _case(self, word: str) -> str:
        change: Callable[[str], str] = self._random.choice((str.upper, str.upper, str.lower, str.title))
        return change(word)
