"""What MONITOR and the slow log must not show: passwords, wherever a command carries one."""

from __future__ import annotations

from collections.abc import Sequence

from node.settings import NodeSettings
from runtime.settings import to_text
from wire.table import Command

_SECRET = b"(redacted)"
# How many words behind these options of MIGRATE are secret.
_MIGRATE_SECRETS = {b"AUTH": 1, b"AUTH2": 2}


def redacted(command: Command, argv: Sequence[bytes]) -> list[bytes]:
    """`argv` with every secret replaced."""
    shown = list(argv)
    match command.name:
        case "auth":
            shown[1:] = [_SECRET] * (len(argv) - 1)
        case "acl|setuser":
            shown[2:] = [_SECRET] * (len(argv) - 2)
        case "migrate":
            place = 6
            while place < len(argv):
                secrets = _MIGRATE_SECRETS.get(argv[place].upper(), 0)
                if argv[place].upper() == b"KEYS":
                    break
                if place + secrets < len(argv):
                    shown[place + 1 : place + 1 + secrets] = [_SECRET] * secrets
                place += 1 + secrets
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
