"""Random commands of all types on a few keys, each a block of commands that belong together (a transaction, say)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

Words = tuple[str | int, ...]
Block = list[Words]

_SCRIPT = "redis.call('incr', KEYS[1]); redis.call('rpush', KEYS[2], ARGV[1]); return redis.call('spop', KEYS[3])"


class Dice:
    """Words by chance."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def key(self, kind: str) -> str:
        """Mostly of that type."""
        if self.random.random() < 0.03:
            kind = self.random.choice("slhzxt")
        return f"{kind}:{self.random.randrange(5)}"

    def word(self) -> str:
        return self.random.choice(["a", "b", "c", "1", "2", "3.5", "-7", "x" * 70, "long " * 30, "é\r\n"])

    def number(self) -> int:
        return self.random.choice([-3, -1, 0, 1, 2, 5, 100])

    def score(self) -> str:
        return self.random.choice(["1", "-2.5", "inf", "0.1", "3e20"])

    def soon_or_late_ms(self) -> int:
        """Expires within this round, or not at all in this run."""
        return self.random.choice([1, 20, 100_000, 1_000_000])


_MAKERS: list[Callable[[Dice], Words]] = [
    lambda d: ("SET", d.key("s"), d.word()),
    lambda d: ("SET", d.key("s"), d.word(), "PX", d.soon_or_late_ms()),
    lambda d: ("SET", d.key("s"), d.number(), "KEEPTTL"),
    lambda d: ("GETEX", d.key("s"), "PX", d.soon_or_late_ms()),
    lambda d: ("GETDEL", d.key("s")),
    lambda d: ("APPEND", d.key("s"), d.word()),
    lambda d: ("INCRBY", d.key("s"), d.number()),
    lambda d: ("INCRBYFLOAT", d.key("s"), d.random.choice(["0.1", "1e3", "-2.25"])),
    lambda d: ("SETRANGE", d.key("s"), d.random.randrange(40), d.word()),
    lambda d: ("SETBIT", d.key("s"), d.random.randrange(200), d.random.randrange(2)),
    lambda d: ("BITFIELD", d.key("s"), "INCRBY", "u8", d.random.randrange(50), d.number()),
    lambda d: ("BITOP", "XOR", d.key("s"), d.key("s"), d.key("s")),
    lambda d: ("MSET", d.key("s"), d.word(), d.key("s"), d.word()),
    lambda d: ("PFADD", f"p:{d.random.randrange(3)}", *(d.random.randrange(1000) for _ in range(5))),
    lambda d: ("PFCOUNT", "p:0", "p:1"),
    lambda d: ("PFMERGE", "p:2", "p:0", "p:1"),
    lambda d: ("RPUSH", d.key("l"), d.word(), d.number()),
    lambda d: ("LPUSH", d.key("l"), d.word()),
    lambda d: ("LPOP", d.key("l"), d.random.randrange(3)),
    lambda d: ("LMPOP", 2, d.key("l"), d.key("l"), "RIGHT", "COUNT", 2),
    lambda d: ("BLPOP", d.key("l"), d.key("l"), "0.001"),
    lambda d: ("BLMOVE", d.key("l"), d.key("l"), "LEFT", "RIGHT", "0.001"),
    lambda d: ("LINSERT", d.key("l"), "BEFORE", d.word(), d.word()),
    lambda d: ("LSET", d.key("l"), d.number(), d.word()),
    lambda d: ("LREM", d.key("l"), d.number(), d.word()),
    lambda d: ("LTRIM", d.key("l"), 0, 20),
    lambda d: ("SADD", d.key("t"), d.word(), d.number(), d.random.randrange(1000)),
    lambda d: ("SPOP", d.key("t")),
    lambda d: ("SPOP", d.key("t"), d.random.randrange(4)),
    lambda d: ("SREM", d.key("t"), d.word()),
    lambda d: ("SMOVE", d.key("t"), d.key("t"), d.word()),
    lambda d: ("SUNIONSTORE", d.key("t"), d.key("t"), d.key("t")),
    lambda d: ("SINTERSTORE", d.key("t"), d.key("t"), d.key("t")),
    lambda d: ("HSET", d.key("h"), d.word(), d.word(), d.number(), d.word()),
    lambda d: ("HINCRBYFLOAT", d.key("h"), d.number(), "0.1"),
    lambda d: ("HINCRBY", d.key("h"), d.word(), d.number()),
    lambda d: ("HDEL", d.key("h"), d.word()),
    lambda d: ("ZADD", d.key("z"), d.score(), d.word(), d.score(), d.number()),
    lambda d: ("ZADD", d.key("z"), "GT", "CH", d.score(), d.word()),
    lambda d: ("ZINCRBY", d.key("z"), d.score(), d.word()),
    lambda d: ("ZPOPMIN", d.key("z"), d.random.randrange(3)),
    lambda d: ("BZPOPMAX", d.key("z"), "0.001"),
    lambda d: ("ZRANGESTORE", d.key("z"), d.key("z"), 0, -1),
    lambda d: ("ZUNIONSTORE", d.key("z"), 2, d.key("z"), d.key("z"), "WEIGHTS", 2, 3),
    lambda d: ("ZREMRANGEBYRANK", d.key("z"), 5, -1),
    lambda d: ("GEOADD", "g:0", d.random.uniform(-170, 170), d.random.uniform(-80, 80), d.word()),
    lambda d: ("GEOSEARCHSTORE", d.key("z"), "g:0", "FROMLONLAT", 0, 0, "BYRADIUS", 5000, "km", "ASC"),
    lambda d: ("XADD", d.key("x"), "MAXLEN", "~", 100, "*", d.word(), d.word()),
    lambda d: ("XADD", d.key("x"), "NOMKSTREAM", "*", "f", d.number()),
    lambda d: ("XTRIM", d.key("x"), "MAXLEN", d.random.randrange(50)),
    lambda d: ("XGROUP", "CREATE", d.key("x"), "group", "0", "MKSTREAM"),
    lambda d: ("XREADGROUP", "GROUP", "group", d.random.choice("ab"), "COUNT", 3, "STREAMS", d.key("x"), ">"),
    lambda d: ("XAUTOCLAIM", d.key("x"), "group", d.random.choice("ab"), 0, 0, "COUNT", 2),
    lambda d: ("SORT", d.key("l"), "ALPHA", "STORE", d.key("l")),
    lambda d: ("DEL", d.key(d.random.choice("slhzt"))),
    lambda d: ("UNLINK", d.key(d.random.choice("slhzt"))),
    lambda d: ("PEXPIRE", d.key(d.random.choice("slhzxt")), d.soon_or_late_ms()),
    lambda d: ("EXPIRE", d.key(d.random.choice("slhzxt")), 1000, d.random.choice(["NX", "XX", "GT", "LT"])),
    lambda d: ("PERSIST", d.key(d.random.choice("slhzxt"))),
    lambda d: ("RENAME", d.key("s"), d.key("s")),
    lambda d: ("COPY", d.key("h"), d.key("h"), "REPLACE"),
    lambda d: ("MOVE", d.key("z"), 1),
    lambda d: ("PUBLISH", "channel", d.word()),
    lambda d: ("EVAL", _SCRIPT, 3, d.key("s"), d.key("l"), d.key("t"), d.word()),
]


def commands(random: Random, count: int) -> list[Block]:
    """`count` blocks."""
    dice = Dice(random)
    return [_block(dice) for _ in range(count)]


def _block(dice: Dice) -> Block:
    chance = dice.random.random()
    if chance < 0.002:
        return [("FLUSHDB",)]
    if chance < 0.02:
        return [("SWAPDB", 0, 1)]
    one = dice.random.choice(_MAKERS)
    if chance < 0.12:
        return [("MULTI",), *(dice.random.choice(_MAKERS)(dice) for _ in range(3)), ("EXEC",)]
    if chance < 0.2:
        return [("SELECT", 1), one(dice), ("SELECT", 0)]
    return [one(dice)]
