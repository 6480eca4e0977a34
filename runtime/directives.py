"""How a directive of redis.conf is written and what it may hold: kinds, and the pydantic model whose fields they are.

    class NodeSettings(Settings):
        port: Annotated[int, Integer(0, 65535)] = 6379
        maxmemory: Annotated[int, Size()] = 0

A field is named after its directive with underscores for dashes. Its kind reads words (`parse`, Redis' own text as
ValueError), shows a value as CONFIG GET does (`show`) and writes it as CONFIG REWRITE does (`rewrite`). Every
assignment, from a file, a client or Python, passes the kind by way of pydantic; what came as text is `Words`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

# Pydantic looks for plug-ins by importing half of the standard library; we use none, and start ten processes at once.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from runtime.quoting import quoted, split_quoted
from runtime.settings import Line, to_bytes, to_text

INT_MAX = 2**31 - 1
LONG_MAX = 2**63 - 1
_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1024, "m": 10**6, "mb": 1024**2, "g": 10**9, "gb": 1024**3}
_WRONG_COUNT = "wrong number of arguments"


class Words(tuple[str, ...]):
    """A value as it was written, still to be parsed."""

    __slots__ = ()


class Kind:
    """The kind of a directive; `fixed` may be set at the start only, `protected` by CONFIG SET only if allowed,
    `hidden` is not shown by patterns, `secret` is shown by neither MONITOR nor the slow log."""

    # Takes any number of words; CONFIG SET brings them in one string.
    many = False

    def __init__(
        self, *, fixed: bool = False, protected: bool = False, hidden: bool = False, secret: bool = False
    ) -> None:
        self.fixed = fixed
        self.protected = protected
        self.hidden = hidden
        self.secret = secret

    def parse(self, words: Sequence[str]) -> Any:
        """The value that `words` stand for; raises ValueError in Redis' words."""
        if len(words) != 1:
            raise ValueError(_WRONG_COUNT)
        return self.value(words[0])

    def value(self, word: str) -> Any:
        raise NotImplementedError

    def check(self, value: Any) -> Any:
        """A value from Python; raises ValueError when it is none of this kind."""
        raise NotImplementedError

    def merge(self, old: Any, new: Any, *, first: bool) -> Any:  # noqa: ARG002 - for the kinds that add up
        """What holds after one more line with the value `new`; `first`: no line had set the directive so far."""
        return new

    def show(self, value: Any) -> str:
        return str(value)

    def rewrite(self, value: Any) -> list[str]:
        """What follows the name, for each line that the value takes."""
        return [self.show(value)]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)

    def _validate(self, value: Any) -> Any:
        try:
            return self.parse(value) if isinstance(value, Words) else self.check(value)
        except ValueError as error:
            raise PydanticCustomError("directive", "{reason}", {"reason": str(error)}) from None


class Flag(Kind):
    """yes or no."""

    def value(self, word: str) -> bool:
        match word.lower():
            case "yes":
                return True
            case "no":
                return False
        raise ValueError("argument must be 'yes' or 'no'")

    def check(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise ValueError("argument must be 'yes' or 'no'")

    def show(self, value: bool) -> str:
        return "yes" if value else "no"


class Integer(Kind):
    """A decimal number within bounds."""

    def __init__(self, low: int, high: int = INT_MAX, **traits: bool):
        super().__init__(**traits)
        self.low = low
        self.high = high

    def value(self, word: str) -> int:
        digits = word.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or (digits[0] == "0" and word != "0"):
            raise ValueError("argument couldn't be parsed into an integer")
        number = int(word)
        if not -LONG_MAX - 1 <= number <= LONG_MAX:
            raise ValueError("argument couldn't be parsed into an integer")
        return self.check(number)

    def check(self, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("argument couldn't be parsed into an integer")
        if not self.low <= value <= self.high:
            raise ValueError(f"argument must be between {self.show(self.low)} and {self.show(self.high)} inclusive")
        return value


class Hint(Integer):
    """A number that is taken from a wide range and moved into the narrow one that makes sense."""

    def __init__(self, low: int, high: int, sensible: tuple[int, int]):
        super().__init__(low, high)
        self._sensible = sensible

    def check(self, value: Any) -> int:
        return min(max(super().check(value), self._sensible[0]), self._sensible[1])


class Octal(Integer):
    """Permission bits."""

    def value(self, word: str) -> int:
        try:
            return self.check(int(word, 8))
        except ValueError as error:
            if "inclusive" in str(error):
                raise
            raise ValueError("argument couldn't be parsed as an octal number") from None

    def show(self, value: int) -> str:
        return f"{value:o}"


class Size(Integer):
    """Bytes, with a unit if wanted (1k is 1000, 1kb is 1024)."""

    def __init__(self, low: int = 0, high: int = LONG_MAX, **traits: bool):
        super().__init__(low, high, **traits)

    def value(self, word: str) -> int:
        size = parse_size(word)
        if size is None:
            raise ValueError("argument must be a memory value")
        return self.check(size)

    def rewrite(self, value: int) -> list[str]:
        return [format_size(value)]


class SizeOrShare(Size):
    """Bytes, or a percentage, kept as a negative number."""

    def __init__(self) -> None:
        super().__init__(-100)

    def value(self, word: str) -> int:
        if word.endswith("%"):
            digits = word[:-1]
            if not (digits.isascii() and digits.isdigit()):
                raise ValueError("argument must be a memory or percent value")
            if int(digits) > 100:
                raise ValueError("percentage argument must be less or equal to 100")
            return -int(digits)
        size = parse_size(word)
        if size is None:
            raise ValueError("argument must be a memory or percent value")
        return self.check(size)

    def show(self, value: int) -> str:
        return f"{-value}%" if value < 0 else str(value)

    def rewrite(self, value: int) -> list[str]:
        return [self.show(value)] if value < 0 else super().rewrite(value)


class Choice(Kind):
    """One of a list of words, or of those that came after the version that is announced: a refusal names the former."""

    def __init__(self, *names: str, newer: tuple[str, ...] = (), **traits: bool):
        super().__init__(**traits)
        self.names = names
        self._newer = newer

    def value(self, word: str) -> str:
        return self.check(word.lower())

    def check(self, value: Any) -> str:
        if value not in self.names and value not in self._newer:
            raise ValueError(f"argument(s) must be one of the following: {', '.join(self.names)}")
        return str(value)


class Choices(Choice):
    """Several of a list of words."""

    many = True

    def parse(self, words: Sequence[str]) -> tuple[str, ...]:
        chosen = [self.value(word) for word in words or ("",)]
        return tuple(name for name in self.names if name in chosen) or self.names[:1]

    def check(self, value: Any) -> Any:
        return tuple(map(super().check, value)) if isinstance(value, tuple) else super().check(value)

    def show(self, value: tuple[str, ...]) -> str:
        return " ".join(value)


class Text(Kind):
    """Any text; `valid` says why some text will not do."""

    def __init__(self, valid: Callable[[str], str | None] | None = None, **traits: bool):
        super().__init__(**traits)
        self._valid = valid

    def value(self, word: str) -> str:
        return self.check(word)

    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("argument must be text")
        reason = self._valid(value) if self._valid is not None else None
        if reason is not None:
            raise ValueError(reason)
        return value

    def rewrite(self, value: str) -> list[str]:
        return [to_text(quoted(to_bytes(value)))] if value else []


class Several(Kind):
    """Words of any number."""

    many = True

    def parse(self, words: Sequence[str]) -> list[str]:
        return list(words)

    def check(self, value: Any) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise ValueError("argument must be words")
        return value

    def show(self, value: list[str]) -> str:
        return " ".join(value)


class Settings(BaseModel):
    """Settings by directive; subclasses declare the fields."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    # Other names by which directives are known, and names that are accepted and mean nothing any more.
    aliases: ClassVar[dict[str, str]] = {}
    retired: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def field(cls, name: str) -> str | None:
        """The field of directive `name` (in lower case); None when there is no such directive."""
        name = cls.aliases.get(name, name)
        field = name.replace("-", "_")
        return field if field in cls.model_fields and directive_name(field) == name else None

    @classmethod
    def kind(cls, field: str) -> Kind:
        kind = cls.model_fields[field].metadata[0]
        assert isinstance(kind, Kind), f"{field} has no kind"
        return kind

    @classmethod
    def directives(cls) -> list[str]:
        """The names of all that patterns may show, in order of declaration, each followed by its aliases."""
        other_names: dict[str, list[str]] = {}
        for alias, name in cls.aliases.items():
            other_names.setdefault(name, []).append(alias)
        names: list[str] = []
        for field in cls.model_fields:
            if not cls.kind(field).hidden:
                name = directive_name(field)
                names += [name, *other_names.get(name, [])]
        return names

    def apply(self, lines: Iterable[Line], effects: dict[str, Callable[[Any], None]]) -> list[str]:
        """Take over `lines`, in order; raises SettingsError for the first bad one.

        `effects` are called, by directive, with a value that is about to hold, and may refuse it by ValueError.
        Returns the names of the directives that were given, without repetition.
        """
        given: dict[str, None] = {}
        for line in lines:
            field = self.field(line.name)
            if field is None:
                if line.name in self.retired and line.words:
                    continue
                raise line.error("Bad directive or wrong number of arguments")
            name = directive_name(field)
            kind = self.kind(field)
            words = line.words
            if kind.many and len(words) == 1 and words[0]:
                words = split_words(words[0])
            try:
                value = kind.merge(getattr(self, field), kind.parse(words), first=name not in given)
                if name in effects:
                    effects[name](value)
                setattr(self, field, value)
            except ValidationError as error:
                raise line.error(error.errors()[0]["msg"]) from None
            except ValueError as error:
                raise line.error(str(error)) from None
            given[name] = None
        return list(given)


def directive_name(field: str) -> str:
    """A few directives have underscores themselves."""
    return field if field.endswith("_cpulist") else field.replace("_", "-")


def split_words(text: str) -> tuple[str, ...]:
    """The words of a string that CONFIG SET (or one quoted word of a line) brought; raises ValueError."""
    words = split_quoted(to_bytes(text))
    if words is None:
        raise ValueError("Unbalanced quotes in configuration line")
    return tuple(map(to_text, words))


def parse_size(text: str) -> int | None:
    """Bytes; None when `text` is no size."""
    digits = text.rstrip("bkmgBKMG")
    factor = _UNITS.get(text[len(digits) :].lower())
    if factor is None or not ((digits.isascii() and digits.isdigit()) or not digits) or len(digits) > 20:
        return None
    # Redis takes a unit by itself, and nothing at all, for zero.
    return int(digits or "0") * factor


def format_size(size: int) -> str:
    """With the largest unit that divides it, as CONFIG REWRITE writes sizes."""
    for unit in ("gb", "mb", "kb"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)
