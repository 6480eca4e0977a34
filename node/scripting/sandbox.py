"""One Lua state with the sandbox in it, and the few functions by which the engine drives it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from hashlib import sha1
from typing import Any, NoReturn, Protocol

from lupa import lua51

from node.scripting.debug_prelude import SOURCE as DEBUG_SOURCE
from node.scripting.libraries import bit, cjson, cmsgpack, struct
from node.scripting.prelude import HOOK_EVERY, KEPT, KEPT_LIBRARIES, SOURCE, STACK_MAX
from node.scripting.random48 import Random48
from runtime.quoting import quoted

# A script that allocates without end gets "not enough memory" here.
_MEMORY_MAX = 1 << 30
# JSON may be nested a thousand deep, which takes two calls each; Python calls of Python take no stack of C's.
_RECURSION_MAX = 5000
_VERSION = b"7.0.15"
_VERSION_NUMBER = 0x0007000F

# A Lua value as Python has it: nil is None, a string bytes, a number int or float, a table a `LuaTable`.
LuaValue = Any
LuaTable = Any
LuaFunction = Any


class Host(Protocol):
    """What a script's `redis` table reaches."""

    def call(self, *arguments: LuaValue) -> tuple[LuaValue, bool]:
        """redis.call and pcall: the reply, and whether it is an error."""
        ...

    def call_many(self, arguments: LuaTable, count: int) -> tuple[LuaValue, bool]:
        """The same with the arguments in a table, which may have holes."""
        ...

    def tick(self) -> bytes | None:
        """Called every so many instructions; an answer ends the script with that error."""
        ...

    def clock(self) -> float:
        """os.clock."""
        ...

    def log(self, level: int, text: bytes) -> None: ...

    # Of the debugger; when there is none, the first two answer False and do nothing.

    def breakpoint(self) -> bool:
        """redis.breakpoint: whether there is a debugger, which will stop."""
        ...

    def debug(self, values: bytes) -> None:
        """redis.debug."""
        ...

    def stops(self, line: int) -> bool:
        """Whether to stop before this line."""
        ...

    def next(self) -> tuple[bytes, LuaTable]:
        """What to do now that the script has stopped, and its words."""
        ...

    def show(self, line: bytes) -> None: ...

    def show_value(self, prefix: bytes, value: bytes) -> None: ...

    def show_place(self, line: int, name: bytes, innermost: bool) -> None: ...

    def setresp(self, version: int) -> None: ...

    def set_repl(self, flags: int) -> None: ...

    def acl_check(self, *arguments: LuaValue) -> tuple[bool, bytes | None]:
        """Whether the script's user may run this command; or what is wrong with the question."""
        ...

    def register(self, name: bytes, callback: LuaFunction, description: bytes | None, flags: bytes) -> bytes | None:
        """redis.register_function; an answer refuses."""
        ...


class Sandbox:
    """A Lua state; the functions that the prelude gives back are attributes, to be called with Lua's own values."""

    __slots__ = (
        "_random",
        "calm",
        "classify",
        "compile",
        "kill",
        "load_library",
        "run",
        "run_debugged",
        "run_function",
        "slice",
        "table",
    )

    def __init__(self, host: Host) -> None:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_MAX))
        runtime = lua51.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_no_attributes,
            max_memory=_MEMORY_MAX,
        )
        # Makes a table of a list or a dict.
        table: Callable[[object], LuaTable] = runtime.table_from
        self.table = table
        self._random = Random48()
        # JSON's null: a value that is nothing but itself.
        null = runtime.execute(b"return newproxy()")
        modules: dict[bytes, dict[bytes, object]] = {
            b"cjson": cjson.module(runtime, null),
            b"cmsgpack": cmsgpack.module(runtime),
            b"struct": struct.module(),
            b"bit": bit.module(),
        }
        ours: dict[bytes, object] = {
            b"call": host.call,
            b"call_many": host.call_many,
            b"tick": host.tick,
            b"clock": host.clock,
            b"log": host.log,
            b"setresp": host.setresp,
            b"set_repl": host.set_repl,
            b"acl_check": host.acl_check,
            b"register": host.register,
            b"breakpoint": host.breakpoint,
            b"debug": host.debug,
            b"stops": host.stops,
            b"next": host.next,
            b"show": host.show,
            b"show_value": host.show_value,
            b"show_place": host.show_place,
            b"quoted": quoted,
            b"sha1hex": _sha1hex,
            b"error_text": _error_text,
            b"random": self._random.random,
            b"seed": self._random.seed,
            b"null": null,
            b"hook_every": HOOK_EVERY,
            b"stack_max": STACK_MAX,
            b"kept": KEPT,
            b"kept_libraries": KEPT_LIBRARIES,
            b"version": _VERSION,
            b"version_number": _VERSION_NUMBER,
            b"new_cjson": lambda: table(cjson.module(runtime, null)),
            b"modules": table({name: table(module) for name, module in modules.items()}),
        }
        given = table(ours)
        side = runtime.compile(SOURCE, name=b"=prelude")(given)
        # Like `run`, with the debugger.
        self.run_debugged: Callable[[LuaFunction, int, LuaTable, LuaTable], tuple[LuaValue, ...]] = runtime.compile(
            DEBUG_SOURCE, name=b"=prelude"
        )(given, side[b"inside"])
        # (code, name): the function that it is, or None, and what is wrong.
        self.compile: Callable[[bytes, bytes], tuple[LuaFunction, bytes]] = side[b"compile"]
        # (function): runs a library's code, which registers functions. These three answer True and the result, or
        # False, the message, its source and line, and whether it has been counted.
        self.load_library: Callable[[LuaFunction], tuple[LuaValue, ...]] = side[b"load_library"]
        # (function, its last line, KEYS, ARGV)
        self.run: Callable[[LuaFunction, int, LuaTable, LuaTable], tuple[LuaValue, ...]] = side[b"run"]
        self.run_function: Callable[[LuaFunction, int, LuaTable, LuaTable], tuple[LuaValue, ...]] = side[
            b"run_function"
        ]
        # What a table says that it is, and its content; an array's content is its length.
        self.classify: Callable[[LuaTable], tuple[LuaValue, ...]] = side[b"classify"]
        # (table, first, last): these elements, without a tuple around a single one.
        self.slice: Callable[[LuaTable, int, int], LuaValue] = side[b"slice"]
        # Let `Host.tick` be called at every line; and as usual.
        self.kill: Callable[[], None] = side[b"kill"]
        self.calm: Callable[[], None] = side[b"calm"]


def _no_attributes(*_: object) -> NoReturn:
    raise AttributeError("nothing of Python's is for scripts")


def _sha1hex(text: bytes) -> bytes:
    return sha1(text, usedforsecurity=False).hexdigest().encode()


def _error_text(text: bytes) -> bytes:
    """A message without a code gets the usual one: "-CODE words" and "CODE words" are taken as they are."""
    if text.startswith(b"-"):
        return text[1:]
    return text if b" " in text else b"ERR " + text
