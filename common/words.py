"""Numbers and lists in messages for people."""

from collections.abc import Iterable


def counted(number: int, noun: str, many: str = "") -> str:
    """Return a number of things, in words: `1 fault`, `2 faults`; `many` is the plural of an irregular noun."""
    return f"{number} {noun if number == 1 else many or f'{noun}s'}"


def listed(names: Iterable[str], most: int = 5) -> str:
    """Return names separated by commas, only the first few of many."""
    names = list(names)
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
