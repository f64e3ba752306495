"""What the ledger knows about each entry, found by reference, by source, and by whether the entry is in doubt."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Account:
    """What is known about one entry; `since` and `reason` are its mark.

    `opened`: when it became known here. `seen`: the last look showed it. `stored`: storage has the entry. `persisted`:
    storage has its mark. `refused`: an administrator wants it kept.
    """

    source: str
    opened: float = 0.0
    seen: bool = False
    since: float | None = None
    reason: str = ""
    refused: bool = False
    stored: bool = False
    persisted: bool = False


class Accounts:
    """The accounts of entries, by reference.

    Each entry is seen, unseen (no complete look at its source has shown it or lacked it), or marked. `unseen` and
    `marked` change while accounts are marked and closed.
    """

    def __init__(self) -> None:
        self._all: dict[str, Account] = {}
        self._of_source: defaultdict[str, set[str]] = defaultdict(set)
        self._unseen: dict[str, Account] = {}
        self._marked: dict[str, Account] = {}

    def __contains__(self, ref: object) -> bool:
        """Return whether an entry has an account."""
        return ref in self._all

    @property
    def unseen(self) -> Mapping[str, Account]:
        """The accounts of entries that were neither shown nor lacked."""
        return self._unseen

    @property
    def marked(self) -> Mapping[str, Account]:
        """The accounts of entries in doubt."""
        return self._marked

    def get(self, ref: str) -> Account | None:
        """Return the account of an entry, None when it has none."""
        return self._all.get(ref)

    def of(self, source: str) -> Collection[str]:
        """Return the entries of a source."""
        return self._of_source.get(source, frozenset())

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the number of entries of each source, and how many of them are marked."""
        marked = Counter(account.source for account in self._marked.values())
        return {source: (len(refs), marked[source]) for source, refs in self._of_source.items() if refs}

    def open(self, ref: str, source: str, now: float) -> Account:
        """Open an account for an entry that is new, or that has another source than before."""
        former = self._all.get(ref)
        account = Account(source, now)
        if former is not None:
            account.stored, account.persisted = former.stored, former.persisted
            self.close(ref)
        self._all[ref] = self._unseen[ref] = account
        self._of_source[source].add(ref)
        return account

    def close(self, ref: str) -> None:
        """Drop the account of an entry, if it has one."""
        account = self._all.pop(ref, None)
        if account is not None:
            self._of_source[account.source].discard(ref)
            self._unseen.pop(ref, None)
            self._marked.pop(ref, None)

    def see(self, ref: str) -> None:
        """Record that an entry was shown, which clears its mark."""
        account = self._all[ref]
        account.seen, account.since, account.reason, account.refused = True, None, "", False
        self._unseen.pop(ref, None)
        self._marked.pop(ref, None)

    def mark(self, ref: str, reason: str, since: float) -> None:
        """Mark an entry as in doubt."""
        account = self._all[ref]
        account.seen, account.since, account.reason = False, since, reason
        self._unseen.pop(ref, None)
        self._marked[ref] = account

    def unmark(self, ref: str) -> None:
        """Clear the mark of an entry that was not shown."""
        account = self._marked.pop(ref)
        account.since, account.reason = None, ""
        self._unseen[ref] = account

    def withdraw(self, source: str) -> None:
        """Record that nothing shows the entries of a source any more."""
        for ref in self._of_source[source]:
            self._all[ref].seen = False
            if ref not in self._marked:
                self._unseen[ref] = self._all[ref]
