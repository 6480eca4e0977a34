"""`user` lines of a configuration file, as they are read: what is wrong with one whatever commands there are.

Unknown commands and categories are found when there is a table to look them up in (`Accounts.load_at_start`).
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.settings import to_bytes, to_text
from wire.acl.rules import ParenthesisError, RuleError, Rules, joined_selectors
from wire.acl.user import User
from wire.table import CommandTable

_TWICE = "Duplicate user found. A user can only be defined once in config files"


def check_last(lines: Sequence[Sequence[str]]) -> None:
    """The last of the lines read so far, each without its first word; raises ValueError in Redis' words."""
    name, *words = lines[-1]
    if any(line[0] == name for line in lines[:-1]):
        raise _wrong(name, _TWICE)
    rules = Rules(CommandTable((), lambda spec: 0))
    user = rules.new_user(to_bytes(name))
    try:
        for word in joined_selectors([to_bytes(word) for word in words]):
            _try(rules, user, word)
    except ParenthesisError as error:
        raise _wrong(to_text(error.start), "Unmatched parenthesis in selector definition") from None


def _try(rules: Rules, user: User, word: bytes) -> None:
    try:
        rules.apply(user, [word])
    except RuleError as error:
        if not error.unknown:
            raise _wrong(to_text(word), error.reason.decode()) from None


def _wrong(word: str, reason: str) -> ValueError:
    return ValueError(f"Error in user declaration '{word}': {reason}")
