"""Figures as people read them; a dash where nothing is known."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

UNKNOWN = "-"
_SPANS = ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s"))
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def counted(value: int | Decimal | None) -> str:
    """A whole number with separators."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def rough(value: int | None) -> str:
    """A guessed number: 9,999, then 10 k, 9,999 k, 10 M, ..."""
    if value is None:
        return UNKNOWN
    if value < 10_000:
        return f"{value:,}"
    return f"{value // 1_000:,} k" if value < 10_000_000 else f"{value // 1_000_000:,} M"


def octets(value: int | None) -> str:
    """A size with two or three digits: 512 B, 1.2 GB (powers of 1,000)."""
    if value is None:
        return UNKNOWN
    size, unit = Decimal(value), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.1f} {_UNITS[unit]}"


def duration(seconds: int | None) -> str:
    """A length of time in its largest fitting unit: 45 s, 12 min, 5.5 h, 3.2 days."""
    if seconds is None:
        return UNKNOWN
    unit, name = next((known for known in _SPANS if seconds >= known[0] * (1 if known[0] <= 60 else 2)), _SPANS[-1])
    whole = unit <= 60 or seconds >= 100 * unit
    return f"{seconds // unit:,} {name}" if whole else f"{Decimal(seconds) / unit:.1f} {name}"


def share(part: int | Decimal | None, whole: int | Decimal | None = 1) -> str:
    """A share in percent, never rounded up to all or down to nothing: 99.9 % is less than 100 %."""
    if part is None or not whole:
        return UNKNOWN
    percent = Decimal(part) * 100 / Decimal(whole)
    if 0 < percent < 1 or 99 < percent < 100:
        percent = min(max(percent, Decimal("0.1")), Decimal("99.9"))
        return f"{percent:.1f} %"
    return f"{percent:.0f} %"


def moment(value: datetime | None) -> str:
    """A time of UTC to the minute."""
    return UNKNOWN if value is None else f"{value:%Y-%m-%d %H:%M}"
