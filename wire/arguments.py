"""Reading numbers from arguments: Redis' exact rules, refusals in its words.

Python reads more spellings of a number than Redis does (plus sign, blanks, underscores, leading zeros); what Redis
would refuse is refused here, because a stored text must mean the same on every node.
"""

from __future__ import annotations

from wire.errors import NOT_AN_INTEGER, Error

INT64_MIN = -(1 << 63)
INT64_MAX = (1 << 63) - 1
INT32_MAX = (1 << 31) - 1
# The longest text: "-9223372036854775808".
_INT64_DIGITS_MAX = 20
_INT32_MIN = -(1 << 31)
# Most numbers are small: read without looking at their digits.
_SMALL = {b"%d" % number: number for number in range(-128, 1024)}
_NOT_INT32 = b"ERR value is out of range, value must between %d and %d" % (_INT32_MIN, INT32_MAX)


def parse_integer(text: bytes | bytearray, refusal: bytes = NOT_AN_INTEGER) -> int:
    """The signed 64-bit integer whose one canonical text this is; raises Error(`refusal`)."""
    if type(text) is bytes:
        small = _SMALL.get(text)
        if small is not None:
            return small
    try:
        number = int(text)
    except ValueError:
        raise Error(refusal) from None
    if b"%d" % number != text or not INT64_MIN <= number <= INT64_MAX:
        raise Error(refusal)
    return number


# No text from here on is an integer's: it begins with neither a digit nor a sign.
NO_INTEGER_FROM = b":"


def canonical_integer(text: bytes | bytearray) -> int | None:
    """The signed 64-bit integer whose one canonical text this is: reading the number gives the text back."""
    if not 0 < len(text) <= _INT64_DIGITS_MAX or not (text.isdigit() or (text[0] == 0x2D and text[1:].isdigit())):
        return None
    number = int(text)
    return number if b"%d" % number == text and INT64_MIN <= number <= INT64_MAX else None


def parse_int32(text: bytes, refusal: bytes = NOT_AN_INTEGER, out_of_range: bytes = _NOT_INT32) -> int:
    """Like `parse_integer` for what Redis keeps in a C ``int`` (database numbers)."""
    number = parse_integer(text, refusal)
    if not _INT32_MIN <= number <= INT32_MAX:
        raise Error(out_of_range)
    return number
