"""`enable-debug-command` and its like: what could hurt a server is closed, or open to its own machine."""

from __future__ import annotations

from wire.errors import Error
from wire.session import Session


def allows(protection: str, session: Session) -> bool:
    """Whether a directive that says `no`, `yes` or `local` lets this session in."""
    return protection == "yes" or (protection == "local" and session.is_local)


def check_command(name: bytes, protection: str, session: Session) -> None:
    """Raise Redis' refusal of a command (`DEBUG`, `MODULE`) that its directive keeps from this session."""
    if not allows(protection, session):
        raise Error(
            b'ERR %b command not allowed. If the enable-%b-command option is set to "local", you can run it from a '
            b"local connection, otherwise you need to set this option in the configuration file, and then restart the "
            b"server." % (name, name.lower())
        )
