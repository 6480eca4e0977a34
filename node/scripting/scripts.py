"""The cache of scripts: EVAL fills it, EVALSHA finds them by the SHA-1 of their text."""

from __future__ import annotations

from hashlib import sha1

from node.scripting.engine import CHUNKS, Script, ScriptEngine, last_line
from node.scripting.flags import script_flags
from wire.errors import Error


def sha1_hex(body: bytes) -> bytes:
    """The name under which a script is cached."""
    return sha1(body, usedforsecurity=False).hexdigest().encode()


class Scripts:
    """Compiled scripts by name."""

    __slots__ = ("_engine", "_scripts")

    def __init__(self, engine: ScriptEngine) -> None:
        self._engine = engine
        self._scripts: dict[bytes, Script] = {}

    def __len__(self) -> int:
        return len(self._scripts)

    def find(self, name: bytes) -> Script | None:
        """The script of that SHA-1, in any case."""
        return self._scripts.get(name) or self._scripts.get(name.lower())

    def load(self, body: bytes) -> Script:
        """The script with this text, compiled now if it is new; raises Error when it cannot be."""
        name = sha1_hex(body)
        script = self._scripts.get(name)
        if script is None:
            flags, code = script_flags(body)
            function, problem = self._engine.sandbox.compile(code, CHUNKS[False])
            if function is None:
                raise Error(b"ERR Error compiling script (new function): %b" % problem)
            script = self._scripts[name] = Script(name, function, flags, last_line(body))
        return script

    def clear(self) -> None:
        self._scripts.clear()
