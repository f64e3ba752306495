"""When so many entries are missing at once that a fault is more likely than their removal. No I/O."""

HOLD = 3600.0
"""Seconds for which entries stay if many are missing at once."""
SHARE = 0.2
"""Share of all entries that may be removed at once."""


def is_many(missing: int, of: int, *, share: float = SHARE) -> bool:
    """Return whether many of `of` entries are missing: at least two, and more than the share."""
    return missing >= 2 and missing > of * share


def is_emptied(missing: int, of: int) -> bool:
    """Return whether all entries are missing, even if there was only one."""
    return 0 < of <= missing
