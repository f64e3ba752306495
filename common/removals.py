"""When so much is missing at once that it is more likely a fault than a wish. No I/O."""

HOLD = 3600.0
"""Seconds that what is missing stays when so much is missing."""
SHARE = 0.2
"""Part of what there was that may go at once."""


def is_many(missing: int, of: int, *, share: float = SHARE) -> bool:
    """Return whether `missing` entries of so many are suspicious together: two and more, and over the share.

    One alone is no mass departure, also where it is all that there is.
    """
    return missing >= 2 and missing > of * share


def is_emptied(missing: int, of: int) -> bool:
    """Return whether all of what there was is missing, be it only one: so much may a list of names not take away."""
    return 0 < of <= missing
