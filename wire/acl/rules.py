"""The words of ACL SETUSER, and what each changes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wire.acl.selector import READ, WRITE, Selector
from wire.acl.user import User, password_hash
from wire.describe import CATEGORIES, categories
from wire.table import Command, CommandTable

_HASH = re.compile(rb"[0-9a-f]{64}")
_BAD_HASH = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
_UNKNOWN = "Unknown command or category name in ACL"
_SYNTAX = "Syntax error"
_BLANKS = b" \t\n\v\f\r\0"
_USELESS_PATTERN = (
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. "
    "Try 'resetkeys' to start with an empty list of patterns"
)
_USELESS_CHANNEL = (
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. "
    "Try 'resetchannels' to start with an empty list of channels"
)


class RuleError(Exception):
    """A word that cannot be applied."""

    def __init__(self, word: bytes, reason: str) -> None:
        super().__init__(reason)
        self.word = word
        self.reason = reason.encode()
        # No such command or category, here and now.
        self.unknown = reason == _UNKNOWN


class ParenthesisError(Exception):
    """A selector that does not end; `start` is where it begins."""

    def __init__(self, start: bytes) -> None:
        super().__init__()
        self.start = start


class Rules:
    """Applies words to users; knows the commands there are."""

    __slots__ = ("_categories", "_commands", "_named", "all_channels")

    def __init__(self, table: CommandTable) -> None:
        # By full name, which is the one that a command has without `rename-command`: permissions are about that one.
        self._commands = {command.name: command for command in table.every()}
        # By category: its commands, containers and their subcommands too.
        self._categories: dict[str, list[Command]] = {category: [] for category in CATEGORIES}
        for command in self._commands.values():
            for category in categories(command.spec):
                self._categories[category].append(command)
        # The same as a selector has them, by full name.
        self._named = {name: dict.fromkeys(each.name for each in of) for name, of in self._categories.items()}
        # `acl-pubsub-default`.
        self.all_channels = False

    def in_category(self, category: str) -> list[Command] | None:
        return self._categories.get(category)

    def new_user(self, name: bytes) -> User:
        return User(name, all_channels=self.all_channels)

    def apply(self, user: User, words: Sequence[bytes]) -> None:
        """Change `user` word by word; raises RuleError or ParenthesisError, with the earlier words applied."""
        for word in joined_selectors(words):
            self._apply(user, word)

    def _apply(self, user: User, word: bytes) -> None:
        lower = word.lower()
        if not word:
            # Nothing, and no mistake.
            return
        if lower == b"on":
            user.enabled = True
        elif lower == b"off":
            user.enabled = False
        elif lower == b"nopass":
            user.no_password = True
            user.passwords.clear()
        elif lower == b"resetpass":
            user.no_password = False
            user.passwords.clear()
        elif lower in (b"sanitize-payload", b"skip-sanitize-payload"):
            user.sanitize = lower
        elif word[:1] in (b">", b"#"):
            user.passwords[_hash_in(word)] = None
            user.no_password = False
        elif word[:1] in (b"<", b"!"):
            hashed = _hash_in(word)
            if hashed not in user.passwords:
                raise RuleError(word, "The password you are trying to remove from the user does not exist")
            del user.passwords[hashed]
        elif word[:1] == b"(" and word.endswith(b")"):
            selector = Selector(all_channels=self.all_channels)
            for part in word[1:-1].split():
                self._apply_to_selector(selector, part, whole=word)
            user.selectors.append(selector)
        elif lower == b"clearselectors":
            del user.selectors[1:]
        elif lower == b"reset":
            fresh = User(user.name, all_channels=self.all_channels)
            user.enabled, user.no_password, user.sanitize = False, False, b"sanitize-payload"
            user.passwords, user.selectors = fresh.passwords, fresh.selectors
        else:
            self._apply_to_selector(user.root, word, whole=word)

    def _apply_to_selector(self, selector: Selector, word: bytes, *, whole: bytes) -> None:
        """`whole` is what an error names: the selector that the word stands in."""
        lower = word.lower()
        if lower in (b"allkeys", b"~*"):
            selector.all_keys = True
            selector.keys.clear()
        elif lower == b"resetkeys":
            selector.all_keys = False
            selector.keys.clear()
        elif lower in (b"allchannels", b"&*"):
            selector.all_channels = True
            selector.channels.clear()
        elif lower == b"resetchannels":
            selector.all_channels = False
            selector.channels.clear()
        elif lower in (b"allcommands", b"+@all"):
            self._set_all(selector, allowed=True)
        elif lower in (b"nocommands", b"-@all"):
            self._set_all(selector, allowed=False)
        elif word[:1] == b"~":
            _allow_keys(selector, word[1:], READ | WRITE, whole)
        elif word[:1] == b"%":
            # Without a tilde there is no pattern, which Redis takes for the empty one.
            letters, _, pattern = word[1:].partition(b"~")
            access = _access(letters)
            if not access:
                raise RuleError(whole, _SYNTAX)
            _allow_keys(selector, pattern, access, whole)
        elif word[:1] == b"&":
            if selector.all_channels:
                raise RuleError(whole, _USELESS_CHANNEL)
            _check_blanks(word, whole)
            selector.allow_channel(word[1:])
        elif word[:2] in (b"+@", b"-@"):
            self._set_category(selector, lower, whole)
        elif word[:1] in (b"+", b"-"):
            self._set_command(selector, lower, whole)
        else:
            raise RuleError(whole, _SYNTAX)

    # ---- commands

    def _set_all(self, selector: Selector, *, allowed: bool) -> None:
        selector.all_commands = allowed
        selector.commands.clear()
        selector.first_arguments.clear()
        selector.command_rules = {b"+@all" if allowed else b"-@all": None}

    def _set_category(self, selector: Selector, word: bytes, whole: bytes) -> None:
        names = self._named.get(word[2:].decode("latin-1"))
        if names is None:
            raise RuleError(whole, _UNKNOWN)
        self._set_each(selector, names, allowed=word.startswith(b"+"))
        selector.note_rule(word)

    def _set_command(self, selector: Selector, word: bytes, whole: bytes) -> None:
        allowed = word.startswith(b"+")
        name, _, rest = word[1:].decode("latin-1").partition("|")
        command = self._commands.get(name)
        if command is None:
            raise RuleError(whole, _UNKNOWN)
        if not rest:
            parts = [command.name, *(subcommand.name for subcommand in command.subcommands.values())]
            self._set_each(selector, dict.fromkeys(parts), allowed=allowed)
        elif "|" in rest:
            known = allowed and self._commands.get(f"{name}|{rest.rpartition('|')[0]}") is not None
            raise RuleError(whole, "Allowing first-arg of a subcommand is not supported" if known else _UNKNOWN)
        elif rest.encode("latin-1") in command.subcommands:
            self._set_each(selector, {command.subcommands[rest.encode("latin-1")].name: None}, allowed=allowed)
        elif command.subcommands or not allowed:
            raise RuleError(whole, _UNKNOWN)
        else:
            selector.first_arguments.setdefault(command.name, {})[rest.encode("latin-1")] = None
        selector.note_rule(word)

    def _set_each(self, selector: Selector, names: dict[str, None], *, allowed: bool) -> None:
        if allowed:
            selector.commands |= names
            return
        if selector.all_commands:
            # From now on it is a list.
            selector.all_commands = False
            selector.commands = dict.fromkeys(self._commands)
        for name in names:
            selector.commands.pop(name, None)
            selector.first_arguments.pop(name, None)


def joined_selectors(words: Sequence[bytes]) -> list[bytes]:
    """The words, with those of a selector in parentheses put together; raises ParenthesisError."""
    joined: list[bytes] = []
    # The first word of the selector that is open.
    opening: bytes | None = None
    for word in words:
        if opening is not None:
            joined[-1] += b" " + word
        else:
            joined.append(word)
            if word.startswith(b"("):
                opening = word
        if opening is not None and word.endswith(b")"):
            opening = None
    if opening is not None:
        raise ParenthesisError(opening)
    return joined


def _allow_keys(selector: Selector, pattern: bytes, access: int, whole: bytes) -> None:
    if selector.all_keys:
        raise RuleError(whole, _USELESS_PATTERN)
    _check_blanks(pattern, whole)
    if pattern == b"*" and access == READ | WRITE:
        selector.all_keys = True
        selector.keys.clear()
    else:
        selector.allow_pattern(pattern, access)


def _check_blanks(pattern: bytes, whole: bytes) -> None:
    if any(blank in pattern for blank in _BLANKS):
        raise RuleError(whole, _SYNTAX)


def _access(letters: bytes) -> int:
    """What the letters between ``%`` and ``~`` allow; 0 for other letters."""
    access = 0
    for letter in letters.upper():
        bit = {ord("R"): READ, ord("W"): WRITE}.get(letter, 0)
        # Each once.
        if not bit or access & bit:
            return 0
        access |= bit
    return access


def _hash_in(word: bytes) -> bytes:
    """Which password a word is about: in the clear behind ``>`` and ``<``, as its hash behind ``#`` and ``!``."""
    return password_hash(word[1:]) if word[:1] in (b">", b"<") else _checked_hash(word)


def _checked_hash(word: bytes) -> bytes:
    if not _HASH.fullmatch(word[1:]):
        raise RuleError(word, _BAD_HASH)
    return word[1:]
