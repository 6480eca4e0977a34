"""Random JSON, whole and spoilt, is read by scripts as the real server's cjson reads it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.node.conftest import Pair

# What was read, in an order that is the same everywhere.
_SCRIPT = """
local function shown(value)
  if value == cjson.null then return 'null' end
  if type(value) ~= 'table' then return type(value) .. ':' .. tostring(value) end
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(one, other) return type(one) .. tostring(one) < type(other) .. tostring(other) end)
  for at, key in ipairs(keys) do keys[at] = type(key) .. tostring(key) .. '=' .. shown(value[key]) end
  return '{' .. table.concat(keys, ',') .. '}'
end
local done, value = pcall(cjson.decode, ARGV[1])
return {tostring(done), done and shown(value) or value}
"""
_TEXTS = ("", "a", "key", "é€😀", "\x00", "\x1f\x7f", 'say "x"\\/', "1", "null", "\u2028")
_NUMBERS = (0, -0.0, 1, -17, 2**31, 2**53 + 1, 10**30, 0.1, -2.5e-7, 1e300)
_ODD = (
    b"NaN",
    b"Infinity",
    b"-inf",
    b"0x1F",
    b"01",
    b"1.",
    b".5",
    b"+1",
    b"1e999",
    b"\xff",
    b'"\\ud800"',
    b'"\\udc00"',
)


def _value(chance: random.Random, depth: int) -> Any:
    kind = chance.choice(("text", "number", "literal", "array", "object") if depth < 4 else ("text", "number"))
    if kind == "text":
        return "".join(chance.choices(_TEXTS, k=chance.randrange(3)))
    if kind == "number":
        return chance.choice(_NUMBERS)
    if kind == "literal":
        return chance.choice((True, False, None))
    size = chance.randrange(4)
    if kind == "array":
        return [_value(chance, depth + 1) for _ in range(size)]
    return {chance.choice(_TEXTS): _value(chance, depth + 1) for _ in range(size)}


def _spoilt(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    change = chance.choice(("cut", "insert", "odd", "replace"))
    if change == "cut":
        return data[:at]
    if change == "insert":
        return data[:at] + bytes((chance.choice(b' \t\n{}[]",:\\0-ux'),)) + data[at:]
    if change == "odd":
        return b"[" + chance.choice(_ODD) + b"," + data + b"]"
    return data[:at] + chance.randbytes(1) + data[at + 1 :]


@pytest.mark.parametrize("seed", range(8))
def test_json_is_read_alike(pair: Pair, seed: int) -> None:
    chance = random.Random(seed)
    ours, real = pair.connect()
    for _ in range(150):
        written = json.dumps(_value(chance, 0), ensure_ascii=chance.random() < 0.5)
        data = written.replace(", ", chance.choice((",", " ,\n", ", "))).encode()
        for _ in range(chance.choice((0, 0, 1, 2))):
            data = _spoilt(chance, data)
        asked = ("EVAL", _SCRIPT, "0", data)
        assert ours.ask(*asked) == real.ask(*asked), data


@pytest.mark.parametrize("deepest", [1, 3, 1000])
def test_the_depth_that_a_script_has_set_holds(pair: Pair, deepest: int) -> None:
    for depth in (1, 2, 3, 4, 900, 1000, 1001):
        data = "[" * depth + "]" * depth
        script = f"cjson.decode_max_depth({deepest}) return type(cjson.decode(ARGV[1]))"
        ours, real = (client.ask("EVAL", script, "0", data) for client in pair.connect())
        assert ours == real, depth
