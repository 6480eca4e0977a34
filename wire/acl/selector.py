"""One set of permissions: commands, key patterns, channel patterns. A command must be allowed by one selector whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from wire.command import NO_AUTH
from wire.glob import matcher
from wire.table import Command

READ = 1
WRITE = 2
_ANYTHING = READ | WRITE
_ACCESS = {READ: b"%R~", WRITE: b"%W~", _ANYTHING: b"~"}

# Which arguments of a command are channels: from which one, whether all from there on, and whether they are patterns.
_CHANNELS: dict[str, tuple[int, bool, bool]] = {
    "publish": (1, False, False),
    "spublish": (1, False, False),
    "subscribe": (1, True, False),
    "ssubscribe": (1, True, False),
    "psubscribe": (1, True, True),
}


class Reason(Enum):
    """What was refused, by Redis' names in ACL LOG."""

    COMMAND = b"command"
    KEY = b"key"
    CHANNEL = b"channel"
    AUTH = b"auth"


class Denial(NamedTuple):
    """What stands in the way of a command."""

    reason: Reason
    # The name of the command, key or channel, and which argument it is.
    name: bytes
    place: int = 0


class Selector:
    """Permissions that belong together."""

    __slots__ = (
        "all_channels",
        "all_commands",
        "all_keys",
        "channels",
        "command_rules",
        "commands",
        "first_arguments",
        "keys",
    )

    def __init__(self, *, all_channels: bool) -> None:
        # Every command, those that a later version may bring included.
        self.all_commands = False
        # Otherwise these, by full name.
        self.commands: dict[str, None] = {}
        # Of other commands, only with these first arguments.
        self.first_arguments: dict[str, dict[bytes, None]] = {}
        # What was said of commands, for ACL LIST: word by word, in order.
        self.command_rules: dict[bytes, None] = {}
        self.all_keys = False
        # By pattern: the access that it gives, and the compiled pattern.
        self.keys: dict[bytes, tuple[int, Callable[[bytes], object]]] = {}
        self.all_channels = all_channels
        self.channels: dict[bytes, Callable[[bytes], object]] = {}

    @property
    def unrestricted(self) -> bool:
        return self.all_commands and self.all_keys and self.all_channels

    def copy(self) -> Selector:
        twin = Selector(all_channels=self.all_channels)
        twin.all_commands, twin.all_keys = self.all_commands, self.all_keys
        twin.commands = dict(self.commands)
        twin.first_arguments = {name: dict(words) for name, words in self.first_arguments.items()}
        twin.command_rules = dict(self.command_rules)
        twin.keys, twin.channels = dict(self.keys), dict(self.channels)
        return twin

    # ---- judging

    def denial(self, command: Command, argv: Sequence[bytes]) -> Denial | None:
        """What forbids the command with these arguments; None when it may run."""
        if not self._allows_command(command, argv):
            return Denial(Reason.COMMAND, command.name.encode())
        if not self.all_keys and command.spec.keys:
            for place, flags in command.spec.keys_with_flags(argv):
                if not self.allows_key(argv[place], access_of(flags)):
                    return Denial(Reason.KEY, argv[place], place)
        if not self.all_channels and command.name in _CHANNELS:
            first, several, patterns = _CHANNELS[command.name]
            for place in range(first, len(argv) if several else first + 1):
                if not self.allows_channel(argv[place], literally=patterns):
                    return Denial(Reason.CHANNEL, argv[place], place)
        return None

    def _allows_command(self, command: Command, argv: Sequence[bytes]) -> bool:
        name = command.name
        if self.all_commands or name in self.commands or command.flags & NO_AUTH:
            return True
        words = self.first_arguments.get(name)
        return words is not None and len(argv) > 1 and argv[1].lower() in words

    def allows_key(self, key: bytes, needed: int) -> bool:
        """Whether a key may be used in ways that need this access."""
        return any(access & needed == needed and matches(key) for access, matches in self.keys.values())

    def reads_all_keys(self, command: Command, argv: Sequence[bytes]) -> bool:
        """Whether the command may read whatever key it comes upon."""
        return self._allows_command(command, argv) and (self.all_keys or bool(self.keys.get(b"*", (0,))[0] & READ))

    def allows_channel(self, channel: bytes, *, literally: bool) -> bool:
        """Whether messages of a channel are allowed; `literally`: a pattern, which must be one of ours as it stands."""
        if self.all_channels:
            return True
        if literally:
            return channel in self.channels
        return any(matches(channel) for matches in self.channels.values())

    # ---- changing

    def allow_pattern(self, pattern: bytes, access: int) -> None:
        known = self.keys.get(pattern)
        granted = access | known[0] if known is not None else access
        self.keys[pattern] = (granted, matcher(pattern))

    def allow_channel(self, pattern: bytes) -> None:
        self.channels[pattern] = matcher(pattern)

    def note_rule(self, word: bytes) -> None:
        """Remember ``+name`` or ``-name``, which takes the place of what was said of it and its subcommands before."""
        name = word[1:]
        for other in list(self.command_rules):
            if other[1:] == name or other[1:].startswith(name + b"|"):
                del self.command_rules[other]
        self.command_rules[word] = None

    # ---- describing

    def describe_commands(self) -> bytes:
        base = b"+@all" if b"+@all" in self.command_rules else b"-@all"
        return b" ".join([base, *(rule for rule in self.command_rules if rule[1:] != b"@all")])

    def describe_keys(self) -> bytes:
        if self.all_keys:
            return b"~*"
        return b" ".join(_ACCESS[access] + pattern for pattern, (access, _) in self.keys.items())

    def describe_channels(self) -> bytes:
        return b"&*" if self.all_channels else b" ".join(b"&" + pattern for pattern in self.channels)

    def describe(self) -> bytes:
        """As words that make it again."""
        channels = self.describe_channels()
        if not self.all_channels:
            channels = b"resetchannels " + channels if channels else b"resetchannels"
        return b" ".join(part for part in (self.describe_keys(), channels, self.describe_commands()) if part)


def access_of(flags: Sequence[str]) -> int:
    """The access that a use of a key needs: its content is read, or written."""
    needed = READ if "access" in flags else 0
    return needed | (WRITE if "insert" in flags or "delete" in flags or "update" in flags else 0)
