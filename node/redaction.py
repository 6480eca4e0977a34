"""What MONITOR and the slow log must not show: passwords, wherever a command carries one."""

from __future__ import annotations

from collections.abc import Sequence

from node.settings import NodeSettings
from runtime.settings import to_text
from wire.table import Command

_SECRET = b"(redacted)"


def redacted(command: Command, argv: Sequence[bytes]) -> list[bytes]:
    """`argv` with every secret replaced."""
    shown = list(argv)
    match command.name:
        case "auth":
            shown[1:] = [_SECRET] * (len(argv) - 1)
        case "hello":
            upper = [argument.upper() for argument in argv]
            if b"AUTH" in upper:
                at = upper.index(b"AUTH") + 1
                shown[at : at + 2] = [_SECRET] * len(shown[at : at + 2])
        case "config|set":
            for place in range(2, len(argv) - 1, 2):
                field = NodeSettings.field(to_text(argv[place]).lower())
                if field is not None and NodeSettings.kind(field).secret:
                    shown[place + 1] = _SECRET
    return shown
