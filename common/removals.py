"""Why entries leave, and when so many are missing at once that a fault is more likely than their removal. No I/O."""

from typing import Final

NOT_LISTED: Final = "not-listed"
"""Reason: a complete look at its source lacks it."""
NOT_READY: Final = "not-ready"
"""Reason: it exists and has not been ready for a while."""
SOURCE_GONE: Final = "source-gone"
"""Reason: its source itself is no longer configured or found."""
NOT_NAMED: Final = "not-in-keyset"
"""Reason: its key is missing from the `/currentkeyset` of the original's normalizer."""
CONFIRMED: Final = "confirmed-by-administrator"
"""Reason: an administrator has confirmed the removal."""

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
