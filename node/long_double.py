"""Arithmetic as INCRBYFLOAT does it: C's 80-bit long double, 17 decimals, trailing zeros cut.

Redis adds in the x87 format (64 bits of mantissa) so that sums of small decimal fractions come out as people expect.
A Python float has 53 bits and would print other digits than the node that a replica or a log came from. A number
here is a pair (mantissa, exponent) of exact integers, mantissa * 2 ** exponent, rounded wherever C rounds.
"""

from __future__ import annotations

import re
from decimal import Decimal

LongDouble = tuple[int, int]

_MANTISSA_BITS = 64
# Numbers from 2 ** 16384 on are infinite; the last bit of the smallest denormal number weighs 2 ** -16445.
_EXPONENT_MAX = 16384
_EXPONENT_MIN = -16445
# Redis copies the text into a buffer of this size.
_TEXT_MAX = 5 * 1024
# Beyond these the digits before an exponent no longer matter: the number is infinite, or zero.
_DECIMAL_EXPONENT_MAX = 4951 + _TEXT_MAX
_HEX_EXPONENT_MAX = 16445 + 4 * _TEXT_MAX

_INFINITE = re.compile(rb"[+-]?inf(inity)?", re.IGNORECASE)
_DECIMAL = re.compile(rb"([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?")
_HEX = re.compile(rb"([+-]?)0[xX]([0-9a-fA-F]*)\.?([0-9a-fA-F]*)(?:[pP]([+-]?\d+))?")


def parse_long_double(text: bytes | bytearray) -> LongDouble | None:
    """The number that C's strtold reads from all of `text`; None for an infinity.

    Raises ValueError for anything else, a number too large or too small for the format included.
    """
    if len(text) >= _TEXT_MAX:
        raise ValueError("too long")
    match = _DECIMAL.fullmatch(text)
    if match is not None:
        digits = int(Decimal((match[2] + match[3]).decode())) if match[2] or match[3] else None
        base, point, exponent_max = 10, len(match[3]), _DECIMAL_EXPONENT_MAX
    else:
        match = _HEX.fullmatch(text)
        if match is None:
            if _INFINITE.fullmatch(text):
                return None
            raise ValueError("not a number")
        digits = int(match[2] + match[3], 16) if match[2] or match[3] else None
        base, point, exponent_max = 2, 4 * len(match[3]), _HEX_EXPONENT_MAX
    if digits is None:
        raise ValueError("no digits")
    if digits == 0:
        return 0, 0
    exponent = match[4] or b"0"
    if len(exponent) > 20 or abs(int(exponent)) > exponent_max:
        raise ValueError("out of range")
    power = int(exponent) - point
    rounded = _round(digits * base ** max(power, 0), base ** max(-power, 0))
    if rounded is None or not rounded[0]:
        raise ValueError("out of range")
    return (-rounded[0], rounded[1]) if match[1] == b"-" else rounded


def add(one: LongDouble, other: LongDouble) -> LongDouble | None:
    """The sum; None when it is infinite."""
    exponent = min(one[1], other[1])
    total = (one[0] << one[1] - exponent) + (other[0] << other[1] - exponent)
    rounded = _round(abs(total) << max(exponent, 0), 1 << max(-exponent, 0))
    if rounded is None or total >= 0:
        return rounded
    return -rounded[0], rounded[1]


def format_long_double(number: LongDouble) -> bytes:
    """``%.17Lf`` without trailing zeros."""
    mantissa, exponent = number
    scaled = _divide(abs(mantissa) * 10**17 << max(exponent, 0), 1 << max(-exponent, 0))
    # By way of Decimal, since Python refuses to print integers of more than 4300 digits.
    digits = str(Decimal(scaled)).encode().rjust(18, b"0")
    text = (digits[:-17] + b"." + digits[-17:]).rstrip(b"0").rstrip(b".")
    return b"-" + text if mantissa < 0 and scaled else text


def _round(numerator: int, denominator: int) -> LongDouble | None:
    """The number of the format nearest to the quotient of two integers that are not negative; None if infinite."""
    exponent = max(numerator.bit_length() - denominator.bit_length() - _MANTISSA_BITS, _EXPONENT_MIN)
    # The estimate may be one too small.
    if numerator << max(-exponent, 0) >= denominator << max(exponent, 0) + _MANTISSA_BITS:
        exponent += 1
    mantissa = _divide(numerator << max(-exponent, 0), denominator << max(exponent, 0))
    return None if mantissa.bit_length() + exponent > _EXPONENT_MAX else (mantissa, exponent)


def _divide(numerator: int, denominator: int) -> int:
    """The nearest integer to the quotient; of two that are equally near, the even one."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient & 1):
        quotient += 1
    return quotient
