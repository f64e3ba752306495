"""Doubt about rounds that would remove most of what is stored."""

from collections.abc import Set as AbstractSet

LEAST = 5
"""Removals that are never doubted, because a small cache is half gone with one of them."""


class RemovalGuard:
    """Holds a round back that would remove more than half of what is stored, until the next round says the same.

    Such rounds come from a source that was listed half, far more often than from somebody who removed so many models.
    """

    def __init__(self, *, enabled: bool = True, least: int = LEAST) -> None:
        self._enabled = enabled
        self._least = least
        self.held: AbstractSet[str] = frozenset()

    def admits(self, removals: AbstractSet[str], *, stored: int) -> bool:
        """Tell whether these of `stored` entries may be removed now; if not, they are in `held` for the next round."""
        drastic = len(removals) >= self._least and 2 * len(removals) > stored
        if self._enabled and drastic and not removals <= self.held:
            self.held = frozenset(removals)
            return False
        self.held = frozenset()
        return True
