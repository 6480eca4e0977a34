"""The manifest of an append-only file: which files it is made of, in which order they are read.

Text, a line a file: ``file NAME seq NUMBER type LETTER``, base ``b`` first, then what is to be deleted (``h``), then
the increments (``i``), ascending. Only the manifest says what a file is; names are free. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from node.persistence.aof.errors import AofError
from runtime.quoting import quoted, split_quoted
from runtime.settings import to_bytes, to_text

_LINE_MAX = 1024
_INVALID = "Invalid AOF manifest file format"
# A name with any other letter is written in quotes.
_PLAIN = frozenset(map(chr, range(0x21, 0x7F))) - frozenset("\"'\\")


class ManifestError(AofError):
    """The manifest cannot be understood."""

    def __init__(self, reason: str, number: int = 0, line: str = "") -> None:
        where = [f"Reading the manifest file, at line {number}", f">>> '{line}'"] if number else []
        super().__init__("*** FATAL AOF MANIFEST FILE ERROR ***", *where, reason)


@dataclass(frozen=True, slots=True)
class Part:
    """One file."""

    name: str
    seq: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What there is."""

    base: Part | None = None
    increments: tuple[Part, ...] = ()
    # Replaced by the base, and still to be deleted.
    history: tuple[Part, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The files to be read, in order."""
        return (self.base, *self.increments) if self.base is not None else self.increments

    def next_base(self, stem: str, form: str) -> Part:
        """A base that has yet to be made: `form` is ``rdb`` or ``aof``."""
        seq = self.base.seq + 1 if self.base is not None else 1
        return Part(f"{stem}.{seq}.base.{form}", seq)

    def next_increment(self, stem: str) -> Part:
        """An increment that has yet to be made."""
        seq = self.increments[-1].seq + 1 if self.increments else 1
        return Part(f"{stem}.{seq}.incr.aof", seq)

    def with_increment(self, part: Part) -> Manifest:
        return replace(self, increments=(*self.increments, part))

    def rebased(self, base: Part, increment: Part | None) -> Manifest:
        """`base` holds all that stood before `increment`; None: there are no increments any more."""
        old = tuple(part for part in self.increments if part != increment)
        replaced = old if self.base is None else (*old, self.base)
        # What was replaced last stands first.
        return Manifest(base, () if increment is None else (increment,), replaced + self.history)

    def without_history(self) -> Manifest:
        return replace(self, history=())

    def render(self) -> bytes:
        """The file's content."""
        rows = [(self.base, "b")] if self.base is not None else []
        rows += [(part, "h") for part in self.history] + [(part, "i") for part in self.increments]
        return to_bytes("".join(f"file {_shown(part.name)} seq {part.seq} type {kind}\n" for part, kind in rows))


def _shown(name: str) -> str:
    return to_text(quoted(to_bytes(name))) if not _PLAIN.issuperset(name) else name


def parse(data: bytes) -> Manifest:
    """The manifest that `data` is; raises ManifestError."""
    if not data:
        raise ManifestError("Found an empty AOF manifest")
    base: Part | None = None
    increments: list[Part] = []
    history: list[Part] = []
    lines = to_text(data).split("\n")
    for number, line in enumerate(lines, 1):
        if number == len(lines):
            if line:
                # The end of the file where the end of a line should be.
                raise ManifestError("The AOF manifest file contains too long line")
            break
        if len(line) + 1 > _LINE_MAX:
            raise ManifestError("The AOF manifest file contains too long line")
        if line.startswith("#"):
            continue
        part, kind = _part(line, number)
        if kind == "b":
            if base is not None:
                raise ManifestError("Found duplicate base file information", number, line)
            base = part
        elif kind == "h":
            history.append(part)
        elif kind == "i":
            if increments and part.seq <= increments[-1].seq:
                raise ManifestError("Found a non-monotonic sequence number", number, line)
            increments.append(part)
        else:
            raise ManifestError("Unknown AOF file type", number, line)
    return Manifest(base, tuple(increments), tuple(history))


def _part(line: str, number: int) -> tuple[Part, str]:
    """A line's file and type."""
    words = split_quoted(to_bytes(line.strip(" \t\r\n")))
    if words is None or len(words) < 6 or len(words) % 2:
        raise ManifestError(_INVALID, number, line)
    texts = [to_text(word) for word in words]
    told = {key.lower(): value for key, value in zip(texts[::2], texts[1::2], strict=True)}
    name, seq, kind = told.get("file", ""), told.get("seq", ""), told.get("type", "")
    if "/" in name:
        raise ManifestError("File can't be a path, just a filename", number, line)
    if not name or not kind or not seq.isascii() or not seq.isdigit() or not int(seq[:19]) > 0 or len(seq) > 19:
        raise ManifestError(_INVALID, number, line)
    return Part(name, int(seq)), kind[0]
