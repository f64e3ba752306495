"""When so much is missing at once that it is more likely a fault than a wish. No I/O."""

HOLD = 3600.0
"""Seconds that what is missing stays when so much is missing."""
SHARE = 0.2
"""Part of what there was that may go at once."""


def is_many(missing: int, of: int, *, share: float = SHARE) -> bool:
    """Return whether `missing` entries of so many are suspicious: all of them, or two and more over the share."""
    return missing > 0 and (missing >= of or (missing >= 2 and missing > of * share))
