"""Libraries of functions: loaded once, called by name, kept with the data.

A library is its source; it registers its functions while it is loaded. It is loaded whole or not at all. As in Redis,
the case of letters in a function's name counts only within its library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from node.scripting.engine import CHUNKS, Script, ScriptEngine
from node.scripting.flags import NAMES
from node.scripting.gateway import Gateway
from node.scripting.sandbox import LuaFunction
from wire.errors import Error, until_nul

_NAME = re.compile(rb"[A-Za-z0-9_]+")
_BAD_NAME = (
    b"Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
)


@dataclass(slots=True)
class Function:
    """One function of a library."""

    script: Script
    description: bytes | None


@dataclass(slots=True)
class Library:
    """A library, with its functions by name."""

    name: bytes
    source: bytes
    functions: dict[bytes, Function] = field(default_factory=dict)


class Libraries:
    """All libraries of a node."""

    __slots__ = ("_engine", "_functions", "_loading", "by_name")

    def __init__(self, engine: ScriptEngine, gateway: Gateway) -> None:
        self._engine = engine
        # Libraries by name, and every function of theirs by its name in lower case.
        self.by_name: dict[bytes, Library] = {}
        self._functions: dict[bytes, Function] = {}
        # The library that is being loaded.
        self._loading: Library | None = None
        gateway.on_register = self._register

    def function(self, name: bytes) -> Function | None:
        return self._functions.get(name.lower())

    @property
    def function_count(self) -> int:
        return len(self._functions)

    def sources(self) -> list[bytes]:
        """What makes all of them again, in the order in which they were loaded."""
        return [library.source for library in self.by_name.values()]

    def load(self, source: bytes, *, replace: bool) -> bytes:
        """Load a library; returns its name. Raises Error and changes nothing when it is not as it should be."""
        name, code = _metadata(source)
        old = self.by_name.get(name)
        if old is not None and not replace:
            raise Error(b"ERR Library '%b' already exists" % until_nul(name))
        library = self._run(Library(name, source), code)
        replaced = set() if old is None else {f.lower() for f in old.functions}
        taken = next((f for f in library.functions if f.lower() in self._functions and f.lower() not in replaced), None)
        if taken is not None:
            raise Error(b"ERR Function %b already exists" % taken)
        if old is not None:
            self.delete(name)
        self.by_name[name] = library
        self._functions |= {f.lower(): function for f, function in library.functions.items()}
        return name

    def delete(self, name: bytes) -> bool:
        """Forget a library; False when there is none of that name."""
        library = self.by_name.pop(name, None)
        if library is None:
            return False
        for function in library.functions:
            self._functions.pop(function.lower(), None)
        return True

    def clear(self) -> None:
        self.by_name.clear()
        self._functions.clear()

    def restore(self, sources: list[bytes], *, replace: bool, clear: bool) -> None:
        """FUNCTION RESTORE: load all of them, or raise Error and leave everything as it was."""
        before = dict(self.by_name), dict(self._functions)
        try:
            if clear:
                self.clear()
            for source in sources:
                name, _ = _metadata(source)
                if name in self.by_name and not replace:
                    raise Error(b"ERR Library %b already exists" % name)
                self.load(source, replace=True)
        except Error:
            self.by_name, self._functions = before
            raise

    def _run(self, library: Library, code: bytes) -> Library:
        function, problem = self._engine.sandbox.compile(code, CHUNKS[True])
        if function is None:
            raise Error(b"ERR Error compiling function: %b" % problem)
        self._loading = library
        try:
            failure = self._engine.load(function)
        finally:
            self._loading = None
        if failure is not None:
            raise Error(b"ERR Error registering functions: %b" % failure.text)
        if not library.functions:
            raise Error(b"ERR No functions registered")
        return library

    def _register(self, name: bytes, callback: LuaFunction, description: bytes | None, flags: bytes) -> bytes | None:
        """redis.register_function; an answer refuses."""
        library = self._loading
        if library is None:
            return b"ERR redis.register_function can only be called on FUNCTION LOAD command"
        bits = 0
        for word in flags.split():
            if word not in NAMES:
                return b"ERR unknown flag given"
            bits |= NAMES[word]
        if not _NAME.fullmatch(name):
            return b"ERR " + _BAD_NAME
        if name in library.functions:
            return b"ERR Function already exists in the library"
        library.functions[name] = Function(Script(name, callback, bits, 0, is_function=True), description)
        return None


def _metadata(source: bytes) -> tuple[bytes, bytes]:
    """The name of a library, and its code, its first line left empty; raises Error."""
    if not source.startswith(b"#!"):
        raise Error(b"ERR Missing library metadata")
    end = source.find(b"\n")
    if end < 0:
        raise Error(b"ERR Invalid library metadata")
    if 0 in source[:end]:
        raise Error(b"ERR Invalid library metadata")
    # What stands at once behind the marks names the engine.
    engine, *options = (b"#" + source[2:end]).split()
    engine = engine[1:]
    name: bytes | None = None
    for option in options:
        if not option.lower().startswith(b"name="):
            raise Error(b"ERR Invalid metadata value given: %b" % option)
        if name is not None:
            raise Error(b"ERR Invalid metadata value, name argument was given multiple times")
        name = option[5:].strip(b"\"'")
    if name is None:
        raise Error(b"ERR Library name was not given")
    if not _NAME.fullmatch(name):
        raise Error(b"ERR " + _BAD_NAME)
    if engine.lower() != b"lua":
        raise Error(b"ERR Engine '%b' not found" % until_nul(engine))
    return name, source[end:]
