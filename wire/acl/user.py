"""Somebody who may come in, and what they may do then."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from wire.acl.selector import Denial, Reason, Selector
from wire.table import Command

# What was forbidden by the selector that came closest counts: this far each comes, and then as far in the arguments.
_PROGRESS = {Reason.COMMAND: 0, Reason.KEY: 1, Reason.CHANNEL: 2, Reason.AUTH: 3}


class User:
    """One account."""

    __slots__ = ("enabled", "name", "no_password", "passwords", "sanitize", "selectors")

    def __init__(self, name: bytes, *, all_channels: bool) -> None:
        self.name = name
        self.enabled = False
        # Any password will do.
        self.no_password = False
        # SHA-256 of each password, in hex.
        self.passwords: dict[bytes, None] = {}
        # What was said of RESTORE payloads, if anything was: they are always checked here.
        self.sanitize = b""
        # The first one is changed by the user's own rules.
        self.selectors: list[Selector] = [Selector(all_channels=all_channels)]

    @property
    def root(self) -> Selector:
        return self.selectors[0]

    @property
    def unrestricted(self) -> bool:
        return any(selector.unrestricted for selector in self.selectors)

    def copy(self) -> User:
        twin = User(self.name, all_channels=False)
        twin.enabled, twin.no_password, twin.sanitize = self.enabled, self.no_password, self.sanitize
        twin.passwords = dict(self.passwords)
        twin.selectors = [selector.copy() for selector in self.selectors]
        return twin

    def opens_with(self, password: bytes) -> bool:
        return self.no_password or password_hash(password) in self.passwords

    def denial(self, command: Command, argv: Sequence[bytes]) -> Denial | None:
        """What forbids the command; None when a selector allows it."""
        worst: Denial | None = None
        for selector in self.selectors:
            denial = selector.denial(command, argv)
            if denial is None:
                return None
            if worst is None or _progress(denial) > _progress(worst):
                worst = denial
        return worst

    def reads_all_keys(self, command: Command, argv: Sequence[bytes]) -> bool:
        """Whether the command may read keys that its arguments do not name."""
        return any(selector.reads_all_keys(command, argv) for selector in self.selectors)

    def allows_channel(self, channel: bytes, *, literally: bool) -> bool:
        return any(selector.allows_channel(channel, literally=literally) for selector in self.selectors)

    def flags(self) -> list[bytes]:
        words = [b"on" if self.enabled else b"off"]
        if self.no_password:
            words.append(b"nopass")
        if self.sanitize:
            words.append(self.sanitize)
        return words

    def describe(self) -> bytes:
        """As words that make it again, without ``user`` and the name."""
        words = self.flags()
        words += [b"#" + password for password in self.passwords]
        words.append(self.root.describe())
        words += [b"(%b)" % selector.describe() for selector in self.selectors[1:]]
        return b" ".join(words)


def _progress(denial: Denial) -> tuple[int, int]:
    return _PROGRESS[denial.reason], denial.place


def password_hash(password: bytes) -> bytes:
    return sha256(password).hexdigest().encode()
