"""Durations, sizes and limits as people write them: `30d`, `12h`, `500MB`, `2GiB`, `0.5`, `3%`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from quantbench.core.errors import UsageError

_SECONDS = {"h": 3600, "d": 86400}
_BYTES = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
# So many digits are enough for any machine, and no number that is too large for arithmetic.
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9}")
_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([A-Za-z]+)")


def parse_duration(written: str, option: str) -> float:
    """Seconds.

    Args:
        written: a number with `d` (days) or `h` (hours).
        option: where it was given, for the error.

    Raises:
        UsageError: it is anything else.
    """
    hint = "Give a number with d (days) or h (hours): 30d, 12h."
    return _amount(written, _SECONDS, UsageError(f"{option} {written!r} is no duration", hint=hint))


def parse_size(written: str, option: str) -> int:
    """Bytes.

    Args:
        written: a number with MB, GB (powers of 1000), MiB or GiB (powers of 1024).
        option: where it was given, for the error.

    Raises:
        UsageError: it is anything else.
    """
    hint = "Give a number with MB, GB, MiB or GiB: 500MB, 5GB, 2GiB."
    return int(_amount(written, _BYTES, UsageError(f"{option} {written!r} is no size", hint=hint)))


def parse_limit(written: str, option: str) -> float:
    """A number that is not negative.

    Args:
        written: in decimal notation, without a unit.
        option: where it was given, for the error.

    Raises:
        UsageError: it is anything else: negative, `nan`, `inf`, `1e9`.
    """
    if _NUMBER.fullmatch(written.strip()) is None:
        hint = "Give a number that is not negative, without a unit: 0.5, 1.5."
        raise UsageError(f"{option} {written!r} is no limit", hint=hint)
    return float(written)


def parse_percent(written: str, option: str) -> float:
    """Percent: `3%` and `0.03` are both 3.0.

    Args:
        written: a number with `%`, or a share below 1.
        option: where it was given, for the error.

    Raises:
        UsageError: it is anything else; also a bare number from 1 on, which may mean either.
    """
    plain = written.strip()
    number = plain.removesuffix("%").rstrip()
    hint = "Give percent, or a share below 1: 3%, 0.03."
    if _NUMBER.fullmatch(number) is None:
        raise UsageError(f"{option} {written!r} is no share", hint=hint)
    if plain.endswith("%"):
        return float(number)
    if float(number) >= 1:
        raise UsageError(
            f"{option} {written!r} could be {number} % or {float(number) * 100:g} %", hint=hint
        )
    return float(number) * 100


def _amount(written: str, units: Mapping[str, int], error: UsageError) -> float:
    found = _AMOUNT.fullmatch(written)
    if found is None or found[2] not in units:
        raise error
    return float(found[1]) * units[found[2]]
