"""Decides which entries may leave: what each source has shown, what is missing, since when and why.

An entry is shown, or leaving. A look at its source that shows it clears its mark; a complete look that lacks it sets
one; a failed look does nothing. An entry leaves at once when there is proof, else when the mark is old enough and a
complete look at that time still lacks it. Pure: all times are given, in seconds of the epoch, by a clock that never
goes back. See docs/architecture.md, "Removing".
"""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from common import removals
from common.removals import NOT_LISTED, NOT_READY, SOURCE_GONE
from common.wire import Leaving, Stored
from services.normalizer.ledger_accounts import Account, Accounts, Doubt
from services.normalizer.sourcebook import PLACEHOLDERS, SourceBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long entries in doubt are kept, in seconds.

    `hold`: entries that a complete look lacks. `not_ready`: deployments that exist and are not ready. `source_gone`:
    entries of a source that is itself gone. When more than `share` of the entries of a source (at least two) are in
    doubt, or left while in doubt within the last `hold`, all of its entries without proof are kept for `hold`.
    """

    hold: float = removals.HOLD
    share: float = removals.SHARE
    not_ready: float = 120.0
    source_gone: float = removals.HOLD


class Ledger:
    """Records the entries that sources have shown, by reference."""

    def __init__(self, patience: Patience, book: SourceBook) -> None:
        self._patience = patience
        self._book = book
        self._accounts = Accounts()
        self._marks_stored = True  # storage may have marks, or is sent some
        self._left: defaultdict[str, deque[float]] = defaultdict(deque)
        self._departed: dict[str, str] = {}

    @property
    def sources_with_entries(self) -> frozenset[str]:
        """The sources that have entries."""
        return frozenset(self._accounts.counts())

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the number of entries of each source, and how many of them are leaving."""
        return self._accounts.counts()

    def unnamed(self) -> set[str]:
        """Return the keys of entries with an unknown source, because the original wrote them."""
        return set().union(*map(self._accounts.of, PLACEHOLDERS))

    def is_over(self, source: str) -> bool:
        """Return whether a source is gone and all its entries have left."""
        return self._book.is_gone(source) and not self._accounts.of(source)

    def may_inherit(self, source: str) -> bool | None:
        """Return whether another source may take over the entries of a source because it is gone, None if unknown."""
        return False if self._book.is_declared(source) else True if self._book.is_gone(source) else None

    def withdraw(self, source: str) -> None:
        """Record that a source is gone, so that nothing shows its entries any more."""
        self._accounts.withdraw(source)

    # --- what the sources show

    def knows(self, ref: str) -> bool:
        """Return whether an entry is shown or leaving."""
        return ref in self._accounts

    def see(self, ref: str, source: str) -> None:
        """Record a look that shows the entry, or an object that keeps it, which clears its mark."""
        account = self._accounts.get(ref)
        if account is None or account.source != source:
            self._accounts.open(ref, source, 0)
        self._departed.pop(ref, None)
        self._accounts.see(ref)

    def expect(self, ref: str, source: str, *, now: float) -> None:
        """Record a server that an earlier run has shown in an entry."""
        if ref not in self._accounts:
            self._accounts.open(ref, source, now)

    def doubt(self, ref: str, source: str, reason: str, *, since: float) -> bool:
        """Record a look that does not show the entry; return whether the entry is kept for now."""
        account = self._accounts.get(ref)
        if account is None:
            return False
        if account.source != source:
            account = self._accounts.open(ref, source, account.opened)
        if account.reason != reason:
            self._accounts.mark(ref, reason, since)
        return True

    def end(self, ref: str, reason: str) -> None:
        """Record proof that the entry is gone."""
        if ref in self._accounts:
            self._accounts.close(ref)
            self._departed[ref] = reason

    def forget(self, ref: str) -> None:
        """Drop what is known about an entry, which is shown in another way."""
        self._accounts.close(ref)

    # --- what storage has

    def adopt(self, stored: Mapping[str, Stored], *, now: float, damaged: bool = False) -> set[str]:
        """Take a listing of storage: entries of earlier runs, marks, and decisions of an administrator.

        Returns the references of entries that were leaving here and were removed by another writer.
        """
        ids = {entry.ref or key: entry for key, entry in stored.items()}
        self._marks_stored = True
        for ref, entry in ids.items():
            if ref not in self._departed:
                self._adopt(ref, entry, now)
        self._departed = {ref: reason for ref, reason in self._departed.items() if ref in ids}
        if damaged:
            return set()
        gone = {ref for ref, account in self._accounts.marked.items() if account.stored and ref not in ids}
        for ref in gone:
            self._accounts.close(ref)
        return gone

    def _adopt(self, ref: str, entry: Stored, now: float) -> None:
        account = self._accounts.get(ref)
        if account is None:
            account = self._accounts.open(ref, entry.source or f"original:{entry.reconciler}", now)
        mark = entry.leaving
        was_persisted, account.persisted = account.persisted, mark is not None
        account.stored = True
        if self._accounts.is_seen(ref):
            return
        account.refused = mark is not None and mark.refused
        if mark is not None and account.since is None and self._book.covers(account.source, ref):
            self._accounts.mark(ref, mark.reason, min(mark.since, now))
        elif mark is None and was_persisted and account.since is not None:
            account.since = now  # another replica has seen the entry

    def marks(self, stored: Mapping[str, Stored], *, now: float) -> dict[str, Leaving | None]:
        """Return the marks to store, by key, None to clear one.

        A mark is stored only after some time, so that an entry that comes back within the grace costs no write.
        """
        changed: dict[str, Leaving | None] = {}
        if not self._accounts.marked and not self._marks_stored:  # nearly always
            return changed
        for key, entry in stored.items():
            ref = entry.ref or key
            if (account := self._accounts.get(ref)) is None:
                continue
            if account.since is None:
                if entry.leaving is not None and self._accounts.is_seen(ref):
                    changed[key] = None
            elif now >= account.since + self._patience.not_ready:
                mark = Leaving(since=int(account.since), reason=account.reason, refused=account.refused)
                if mark != entry.leaving:
                    changed[key] = mark
        self._marks_stored = any(changed.values()) or any(entry.leaving for entry in stored.values())
        return changed

    def persisted(self, refs: Iterable[str]) -> None:
        """Record that marks are stored; when one is missing later, another replica has seen the entry."""
        for ref in refs:
            if (account := self._accounts.get(ref)) is not None:
                account.persisted = True

    # --- what time does

    def tick(self, now: float) -> set[str]:
        """Mark the entries that complete looks lack; return the references of those that leave now."""
        self._judge(now)
        for times in self._left.values():
            while times and times[0] <= now - self._patience.hold:
                times.popleft()
        marked = dict(self._accounts.marked)
        released = {ref for ref, at in self._due().items() if at <= now and self._is_supported(marked[ref], at)}
        for ref in released:
            account = marked[ref]
            if account.reason != SOURCE_GONE:
                self._left[account.source].append(now)
            self._accounts.close(ref)
            self._departed[ref] = account.reason
        return released

    def _judge(self, now: float) -> None:
        """Mark what a source lacks, and what a source that is gone had; clear such marks if it is there again."""
        for ref, account in tuple(self._accounts.unseen.items()):
            source = account.source
            if self._book.is_gone(source):
                self._accounts.mark(ref, SOURCE_GONE, now)
            elif (looked := self._book.last_look(source)) is not None and self._book.covers(source, ref):
                self._accounts.mark(ref, NOT_LISTED, looked if looked > account.opened else now)
        for ref, account in tuple(self._accounts.marked.items()):
            if account.reason == SOURCE_GONE and self._book.is_declared(account.source):
                self._accounts.unmark(ref)  # it is judged again by what its source shows now
            elif account.reason != SOURCE_GONE and self._book.is_gone(account.source):
                self._accounts.mark(ref, SOURCE_GONE, now)

    def departed(self, ref: str) -> str:
        """Return why an entry has left and must be removed from storage, empty when it has not left."""
        return self._departed.get(ref, "")

    @property
    def leaving(self) -> Collection[str]:
        """The entries that are leaving."""
        return self._accounts.marked.keys()

    def doubts(self) -> list[Doubt]:
        """Return the entries that are leaving, sorted by when they are due."""
        marked = self._accounts.marked
        doubts = [
            Doubt(ref=ref, source=each.source, since=each.since or 0, reason=each.reason, due=None if at == inf else at)
            for ref, at in self._due().items()
            for each in [marked[ref]]
        ]
        return sorted(doubts, key=lambda doubt: (doubt.due is None, doubt.due or 0, doubt.ref))

    def suspicious(self) -> frozenset[str]:
        """Return the sources with suspiciously many entries leaving; none when holds are off."""
        if not self._patience.hold or not self._accounts.marked:
            return frozenset()
        leaving = Counter(each.source for each in self._accounts.marked.values() if each.reason != SOURCE_GONE)
        missing = leaving + Counter({source: len(times) for source, times in self._left.items()})
        return frozenset(source for source in leaving if self._is_suspicious(source, missing))

    def _is_suspicious(self, source: str, missing: Counter[str]) -> bool:
        alike = {source, *self._book.meant_by(source)}
        of = sum(len(self._accounts.of(each)) + len(self._left.get(each, ())) for each in alike)
        return removals.is_many(sum(missing[each] for each in alike), of, share=self._patience.share)

    def unproven(self) -> dict[str, Sequence[str]]:
        """Return the entries that complete looks lack, where they are few enough to ask for each.

        Each comes with the sources that may have it: it is proof only when all of them answer that it is gone.
        """
        suspicious, marked = self.suspicious(), self._accounts.marked
        return {
            ref: self._book.meant_by(marked[ref].source)
            for ref in sorted(marked)
            if marked[ref].reason == NOT_LISTED and marked[ref].source not in suspicious
        }

    def overdue(self, now: float) -> frozenset[str]:
        """Return the sources to list again, because an entry that they lacked is due to leave."""
        sources = set()
        for ref, at in self._due().items():
            account = self._accounts.marked[ref]
            if at <= now and account.reason not in (SOURCE_GONE, NOT_READY) and not self._is_supported(account, at):
                sources.add(account.source)
        return frozenset().union(*map(self._book.meant_by, sources))

    def doubtful(self) -> frozenset[str]:
        """Return the sources that lack suspiciously many entries."""
        suspicious = self.suspicious()
        lacking = {each.source for each in self._accounts.marked.values() if each.reason == NOT_LISTED}
        return frozenset().union(*map(self._book.meant_by, lacking & suspicious))

    def lacking(self) -> Mapping[str, int]:
        """Return how many entries complete looks at each source lack, without those that an administrator keeps."""
        missing = (each for each in self._accounts.marked.values() if each.reason == NOT_LISTED and not each.refused)
        return Counter(source for each in missing for source in self._book.meant_by(each.source))

    def next_check(self, now: float) -> float | None:
        """Return the next time at which an answer changes by itself, None when there is none."""
        times = [at for at in self._due().values() if at != inf]
        times += [each.since + self._patience.not_ready for each in self._accounts.marked.values() if each.since]
        return min((time for time in times if time > now), default=None)

    # --- internal

    def _is_supported(self, account: Account, due: float) -> bool:
        """Return whether what is known about the source now still supports the mark."""
        if account.reason == SOURCE_GONE:
            return self._book.is_gone(account.source)
        looked = self._book.last_look(account.source)
        return looked is not None and (account.reason == NOT_READY or looked >= due)

    def _due(self) -> dict[str, float]:
        if not self._accounts.marked:  # nearly always
            return {}
        suspicious, patience = self.suspicious(), self._patience
        holds = {SOURCE_GONE: patience.source_gone, NOT_READY: patience.not_ready}
        due = {}
        for ref, account in self._accounts.marked.items():
            hold = holds.get(account.reason, patience.hold)
            if account.reason == NOT_READY and account.source in suspicious:
                hold = max(hold, patience.hold)
            due[ref] = inf if account.refused else (account.since or 0) + hold
        return due
