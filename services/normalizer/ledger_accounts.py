"""What the ledger knows about each entry, found by reference, by source, and by whether the entry is in doubt."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(slots=True)
class Account:
    """What is known about one entry; `since` and `reason` are its mark.

    `opened`: when it became known here. `stored`: storage has the entry. `persisted`: storage has its mark.
    `refused`: an administrator wants it kept.
    """

    source: str
    opened: float = 0.0
    since: float | None = None
    reason: str = ""
    refused: bool = False
    stored: bool = False
    persisted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """An entry that is leaving, for people; `due` is None while an administrator wants it kept."""

    ref: str
    source: str
    since: float
    reason: str
    due: float | None


class Accounts:
    """The accounts of entries, by reference.

    An entry is `unseen` until a complete look at its source has shown it or lacked it, `marked` while it is in doubt,
    and neither when the last look has shown it.
    """

    def __init__(self) -> None:
        self._all: dict[str, Account] = {}
        self._of_source: defaultdict[str, set[str]] = defaultdict(set)
        self.unseen: dict[str, Account] = {}
        self.marked: dict[str, Account] = {}

    def __contains__(self, ref: object) -> bool:
        """Return whether an entry has an account."""
        return ref in self._all

    def get(self, ref: str) -> Account | None:
        """Return the account of an entry, None when it has none."""
        return self._all.get(ref)

    def is_seen(self, ref: str) -> bool:
        """Return whether the last look at an entry has shown it."""
        return ref in self._all and ref not in self.unseen and ref not in self.marked

    def of(self, source: str) -> Collection[str]:
        """Return the entries of a source."""
        return self._of_source.get(source, frozenset())

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the number of entries of each source, and how many of them are marked."""
        marked = Counter(account.source for account in self.marked.values())
        return {source: (len(refs), marked[source]) for source, refs in self._of_source.items() if refs}

    def open(self, ref: str, source: str, now: float) -> Account:
        """Open an account for an entry that is new, or that has another source than before."""
        former = self._all.get(ref)
        account = Account(source, now)
        if former is not None:
            account.stored, account.persisted = former.stored, former.persisted
            self.close(ref)
        self._all[ref] = self.unseen[ref] = account
        self._of_source[source].add(ref)
        return account

    def close(self, ref: str) -> None:
        """Drop the account of an entry, if it has one."""
        account = self._all.pop(ref, None)
        if account is not None:
            self._of_source[account.source].discard(ref)
            self.unseen.pop(ref, None)
            self.marked.pop(ref, None)

    def see(self, ref: str) -> None:
        """Record that an entry was shown, which clears its mark."""
        account = self._all[ref]
        account.since, account.reason, account.refused = None, "", False
        self.unseen.pop(ref, None)
        self.marked.pop(ref, None)

    def mark(self, ref: str, reason: str, since: float) -> None:
        """Mark an entry as in doubt."""
        account = self._all[ref]
        account.since, account.reason = since, reason
        self.unseen.pop(ref, None)
        self.marked[ref] = account

    def unmark(self, ref: str) -> None:
        """Clear the mark of an entry that was not shown."""
        account = self.marked.pop(ref)
        account.since, account.reason = None, ""
        self.unseen[ref] = account

    def withdraw(self, source: str) -> None:
        """Record that nothing shows the entries of a source any more."""
        for ref in self._of_source[source]:
            if ref not in self.marked:
                self.unseen[ref] = self._all[ref]
