"""Which entries of a registry that is no longer configured belong to the versions of one that is.

A registry is known by its Service, its name or its URL. Whoever writes another of these means the same registry, and
its models must keep their keys and names in Backstage. Pure.
"""

from collections import Counter
from collections.abc import Mapping

from common.wire import Stored


class Adoption:
    """The stored entries that another registry may take over: by what a version is, whatever its registry is called.

    `successors` are the references of entries that were taken over, with those that have them now.
    """

    def __init__(self, stored: Mapping[str, Stored]) -> None:
        """Take the entries of an earlier run by reference."""
        entries = {ref: entry for ref, entry in stored.items() if entry.origin}
        counts = Counter(entry.origin for entry in entries.values())
        self._former = {entry.origin: ref for ref, entry in entries.items() if counts[entry.origin] == 1}
        self.successors: dict[str, str] = {}

    def candidate(self, ref: str, origin: str) -> str:
        """Return the reference of another entry with the same ids, names and times of creation; empty without one."""
        former = self._former.get(origin, "") if origin else ""
        return former if former != ref else ""

    def take(self, ref: str, origin: str) -> None:
        """Let `ref` have the entry of its candidate."""
        self.successors[self._former.pop(origin)] = ref

    def owner(self, ref: str) -> str:
        """Return who has the entry of a reference now."""
        return self.successors.get(ref, ref)
