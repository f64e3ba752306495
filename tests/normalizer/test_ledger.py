"""Which entries leave, when and why: by cases, and against a plain account of what was seen when."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from common.removals import NOT_LISTED, NOT_READY, SOURCE_GONE
from common.wire import Leaving, Reconciler, Stored
from services.normalizer.ledger import Ledger, Patience
from services.normalizer.sourcebook import SourceBook, unknown_source

HOLD = 3600.0
GRACE = 120.0
SOURCE = "kserve"
START = 1_000_000.0


def refs(count: int, namespace: str = "ns") -> list[str]:
    return [f"isvc:local:{namespace}/m{number}" for number in range(count)]


def entry_key(ref: str) -> str:
    return f"key of {ref}"


def stored(entries: Iterable[str], *, source: str = SOURCE, leaving: Leaving | None = None) -> dict[str, Stored]:
    return {
        entry_key(ref): Stored(digest="d", reconciler="kserve", source=source, ref=ref, leaving=leaving)
        for ref in entries
    }


class Bench:
    """A ledger whose clock stands until it is moved."""

    def __init__(self, count: int = 10, *, now: float = START, hold: float = HOLD) -> None:
        self.book = SourceBook(first_sync_grace=0)
        self.ledger = Ledger(Patience(hold=hold, share=0.2, not_ready=GRACE, source_gone=hold), self.book)
        self.now = now
        self.book.declare(SOURCE, "kserve")
        self.refs = refs(count)
        for ref in self.refs:
            self.ledger.see(ref, SOURCE)
        self.look()

    def look(self, lacking: Iterable[str] = ()) -> None:
        """Look completely, and find that something is not there."""
        for ref in lacking:
            self.ledger.doubt(ref, SOURCE, NOT_LISTED, since=self.now)
        self.book.listed(SOURCE, now=self.now)

    def after(self, seconds: float) -> set[str]:
        """Return what leaves by then."""
        self.now += seconds
        return self.ledger.tick(self.now)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_a_look_lacks_leaves_after_the_hold_when_a_look_then_says_so_too(bench: Bench) -> None:
    one = bench.refs[0]
    bench.look([one])
    assert bench.after(HOLD) == set()
    assert bench.ledger.overdue(bench.now) == {SOURCE}
    bench.look()
    assert bench.after(0) == {one}
    assert bench.ledger.departed(one) == NOT_LISTED


def test_what_is_seen_again_begins_afresh(bench: Bench) -> None:
    one = bench.refs[0]
    bench.look([one])
    bench.after(HOLD - 1)
    bench.ledger.see(one, SOURCE)
    bench.look([one])
    bench.now += HOLD - 1
    bench.look()
    assert bench.after(0) == set()


def test_a_look_that_fails_neither_sets_a_mark_nor_clears_one_nor_lets_anything_go(bench: Bench) -> None:
    one = bench.refs[0]
    bench.look([one])
    bench.book.failed(SOURCE)
    assert bench.after(2 * HOLD) == set()
    assert one in {doubt.ref for doubt in bench.ledger.doubts()}
    bench.look()
    assert bench.after(0) == {one}


def test_proof_needs_no_hold(bench: Bench) -> None:
    for ref in bench.refs:
        bench.ledger.end(ref, "deleted")
    assert {bench.ledger.departed(ref) for ref in bench.refs} == {"deleted"}


def test_what_is_not_ready_leaves_after_its_grace_without_another_look(bench: Bench) -> None:
    one = bench.refs[0]
    assert bench.ledger.doubt(one, SOURCE, NOT_READY, since=bench.now)
    assert bench.after(GRACE - 1) == set()
    assert bench.after(1) == {one}
    assert not bench.ledger.doubt(one, SOURCE, NOT_READY, since=bench.now)


@pytest.mark.parametrize(
    ("count", "leaving", "waits"),
    [
        (1, 1, False),
        (2, 1, False),
        (2, 2, True),
        (10, 2, False),
        (10, 3, True),
        (4, 2, True),
        (100, 20, False),
        (100, 21, True),
    ],
)
def test_when_much_of_a_source_is_not_ready_all_of_it_waits_for_the_hold(count: int, leaving: int, waits: bool) -> None:
    bench = Bench(count)
    for ref in bench.refs[:leaving]:
        bench.ledger.doubt(ref, SOURCE, NOT_READY, since=bench.now)
    assert len(bench.after(GRACE)) == (0 if waits else leaving)
    assert bench.ledger.suspicious() == ({SOURCE} if waits else set())
    assert len(bench.after(HOLD - GRACE)) == (leaving if waits else 0)


def test_nothing_is_suspicious_where_nothing_waits_or_nothing_is_leaving() -> None:
    bench = Bench(hold=0)
    bench.look(bench.refs[:5])
    assert len(bench.after(GRACE)) == 5
    assert bench.ledger.suspicious() == frozenset()
    bench = Bench()
    for ref in bench.refs[:2]:
        bench.ledger.doubt(ref, SOURCE, NOT_READY, since=bench.now)
    assert len(bench.after(GRACE)) == 2
    for ref in bench.refs[2:7]:
        bench.ledger.end(ref, "deleted")
    assert bench.ledger.suspicious() == frozenset(), "what is left is all there and ready"
    bench.ledger.doubt(bench.refs[7], SOURCE, NOT_READY, since=bench.now)
    assert bench.ledger.suspicious() == {SOURCE}


def test_what_leaves_one_by_one_adds_up(bench: Bench) -> None:
    left = 0
    for ref in bench.refs:
        bench.ledger.doubt(ref, SOURCE, NOT_READY, since=bench.now)
        left += len(bench.after(GRACE))
    assert left == 2
    assert bench.after(HOLD) == set(bench.refs[2:])


def test_without_a_hold_what_a_look_lacks_leaves_at_once() -> None:
    bench = Bench(hold=0)
    bench.look(bench.refs)
    assert bench.after(0) == set(bench.refs)


def test_what_an_earlier_run_stored_and_no_look_shows_leaves_after_the_hold(bench: Bench) -> None:
    (old,) = refs(1, "old")
    bench.ledger.adopt(stored([old]), now=bench.now)
    assert bench.after(HOLD) == set()  # nothing was looked at since it is known
    bench.look()
    assert bench.after(HOLD) == set()
    bench.look()
    assert bench.after(0) == {old}


def test_a_mark_is_stored_when_it_has_lasted_and_counts_over_a_restart(bench: Bench) -> None:
    one = bench.refs[0]
    there = stored([one])
    bench.look([one])
    bench.after(GRACE - 1)
    assert not bench.ledger.marks(there, now=bench.now)
    bench.after(1)
    (mark,) = bench.ledger.marks(there, now=bench.now).values()
    assert mark == Leaving(since=int(START), reason=NOT_LISTED)
    assert not bench.ledger.marks(stored([one], leaving=mark), now=bench.now)
    later = Bench(now=START + HOLD)
    (old,) = refs(1, "old")
    later.ledger.adopt(stored([old], leaving=mark), now=later.now)
    assert later.after(0) == {old}  # two looks, an hour apart, agree


def test_a_mark_alone_lets_nothing_go(bench: Bench) -> None:
    (old,) = refs(1, "old")
    bench.book.failed(SOURCE)
    bench.ledger.adopt(stored([old], leaving=Leaving(since=0, reason=NOT_LISTED)), now=bench.now)
    assert bench.after(10 * HOLD) == set()


def test_a_mark_of_what_is_seen_is_cleared(bench: Bench) -> None:
    there = stored(bench.refs[:1], leaving=Leaving(since=1, reason=NOT_LISTED, refused=True))
    bench.ledger.adopt(there, now=bench.now)
    assert list(bench.ledger.marks(there, now=bench.now).values()) == [None]


def test_what_an_administrator_wants_kept_stays_until_it_is_seen_again(bench: Bench) -> None:
    one = bench.refs[0]
    bench.look([one])
    there = stored([one], leaving=Leaving(since=int(START), reason=NOT_LISTED, refused=True))
    bench.ledger.adopt(there, now=bench.now)
    bench.now += 10 * HOLD
    bench.look()
    assert bench.after(0) == set()
    assert [doubt.due for doubt in bench.ledger.doubts()] == [None]
    bench.ledger.see(one, SOURCE)
    bench.look([one])
    bench.ledger.adopt(stored([one]), now=bench.now)
    bench.now += HOLD
    bench.look()
    assert bench.after(0) == {one}


@pytest.mark.parametrize("own", [False, True], ids=["of another run", "of this run"])
def test_a_mark_that_another_replica_clears_begins_again(bench: Bench, own: bool) -> None:
    one = bench.refs[0]
    bench.look([one])
    if own:
        bench.ledger.persisted([one])
    else:
        mark = Leaving(since=int(START), reason=NOT_LISTED)
        bench.ledger.adopt(stored([one], leaving=mark), now=bench.now)
    bench.now += HOLD - 1
    bench.ledger.adopt(stored([one]), now=bench.now)
    bench.look()
    assert bench.after(1) == set()
    assert not bench.ledger.marks(stored([one]), now=bench.now)


def test_a_namespace_that_is_not_looked_at_proves_nothing_about_what_is_in_it() -> None:
    bench = Bench()
    theirs = refs(10, "theirs")
    bench.book.declare(SOURCE, "kserve", namespaces=["ns"])
    mark = Leaving(since=0, reason=NOT_LISTED)
    there = stored(theirs) | stored(refs(1, "marked-by-others"), leaving=mark)
    bench.ledger.adopt(there, now=bench.now)
    for _ in range(3):
        assert bench.after(HOLD) == set()
        bench.look()
    assert not bench.ledger.marks(there, now=bench.now)


def test_entries_of_a_source_that_is_gone_stay_for_its_grace_and_come_back_with_it(bench: Bench) -> None:
    bench.book.declare("registry:r", "registry")
    mine = ["registry:r:1:1", "registry:r:1:2"]
    for ref in mine:
        bench.ledger.see(ref, "registry:r")
    bench.book.withdraw("registry:r")
    bench.ledger.withdraw("registry:r")
    assert bench.after(0) == set()
    assert {doubt.reason for doubt in bench.ledger.doubts()} == {SOURCE_GONE}
    assert bench.after(HOLD - 1) == set()
    bench.book.declare("registry:r", "registry")
    assert bench.after(1) == set()
    assert not bench.ledger.doubts()
    bench.book.withdraw("registry:r")
    bench.ledger.withdraw("registry:r")
    bench.after(0)
    bench.book.set_search("waiting")
    assert bench.after(HOLD) == set()
    bench.book.set_search("exhaustive")
    assert bench.after(0) == set(mine)
    assert bench.ledger.is_over("registry:r")


@pytest.mark.parametrize("reconciler", ["kserve", "kubeflow"])
def test_entries_that_do_not_name_their_source_wait_for_all_of_its_kind(bench: Bench, reconciler: Reconciler) -> None:
    originals = {f"o_{number}": Stored(digest="d", reconciler=reconciler) for number in range(3)}
    bench.book.declare("registry:r", "registry")
    bench.book.declare("manifests", "kserve")
    bench.ledger.adopt(originals, now=bench.now)
    bench.look()
    assert bench.after(HOLD) == set()
    assert not bench.ledger.doubts()
    for _ in range(2):
        bench.look()
        bench.book.listed("registry:r", now=bench.now)
        bench.book.listed("manifests", now=bench.now)
        left = bench.after(0)
        bench.now += HOLD
    assert left == set(originals)


def test_few_absences_are_worth_asking_for_and_many_are_not(bench: Bench) -> None:
    bench.look(bench.refs[:2])
    assert bench.ledger.unproven() == dict.fromkeys(bench.refs[:2], (SOURCE,))
    bench.look(bench.refs[:3])
    assert bench.ledger.unproven() == {}


def test_one_that_is_all_there_is_is_asked_for_and_stays_for_the_hold_without_an_answer() -> None:
    bench = Bench(1)
    bench.look(bench.refs)
    assert set(bench.ledger.unproven()) == set(bench.refs)
    assert bench.after(HOLD - 1) == set()


@pytest.mark.parametrize(("servers", "lacking", "many"), [(1, 1, False), (2, 2, False), (3, 3, True), (1, 3, True)])
def test_servers_stored_within_versions_count_with_all_of_their_kind(servers: int, lacking: int, many: bool) -> None:
    """Of eight others some lack too, so that as many as `lacking` do in all."""
    bench = Bench(8)
    bench.book.declare("elsewhere", "kserve")
    within = refs(servers, "servers")
    for ref in within:
        bench.ledger.expect(ref, unknown_source("kserve"), now=bench.now)
    for _ in range(2):
        bench.now += 1
        bench.book.listed("elsewhere", now=bench.now)
        bench.look(bench.refs[: lacking - servers])
        assert bench.after(0) == set()
    unproven = {ref: set(sources) for ref, sources in bench.ledger.unproven().items() if ref in within}
    assert unproven == ({} if many else {ref: {SOURCE, "elsewhere"} for ref in within})


def test_it_is_known_when_time_alone_changes_something(bench: Bench) -> None:
    assert bench.ledger.next_check(bench.now) is None
    bench.look(bench.refs[:1])
    assert bench.ledger.next_check(bench.now) == START + GRACE  # the mark is stored
    assert bench.ledger.next_check(START + GRACE) == START + HOLD


def test_what_someone_else_removed_while_it_was_leaving_here_is_unlink(bench: Bench) -> None:
    one = bench.refs[0]
    bench.ledger.adopt(stored([one]), now=bench.now)
    bench.look([one])
    assert bench.ledger.adopt({}, now=bench.now, damaged=True) == set()
    assert bench.ledger.adopt({}, now=bench.now) == {one}
    assert not bench.ledger.knows(one)


# --- against a plain account


@dataclass
class Known:
    """What a person with a notebook would know of one object."""

    exists: bool = True
    ready: bool = True
    proven: bool = False
    against: float | None = None
    """Since when nothing has spoken for it."""
    shown: bool = False
    """This run has seen it, at its last look."""


class LedgerMachine(RuleBasedStateMachine):
    """Looks, failures, proofs, restarts and time, in any order: nothing leaves but for one of the good reasons."""

    @initialize(count=st.integers(1, 8))
    def begin(self, count: int) -> None:
        self.now = START
        self.known = {ref: Known() for ref in refs(count)}
        self.store = stored(self.known)
        self.looked: float | None = None
        self.start()
        self.look()

    def start(self) -> None:
        self.book = SourceBook(first_sync_grace=0)
        self.book.declare(SOURCE, "kserve")
        self.ledger = Ledger(Patience(hold=HOLD, share=0.2, not_ready=GRACE, source_gone=HOLD), self.book)
        self.ledger.adopt(self.store, now=self.now)
        self.failing = True
        for known in self.known.values():
            known.shown = False
        for entry in self.store.values():  # a mark that was not cleared before the end of the process counts
            if (mark := entry.leaving) is not None:
                against = self.known[entry.ref].against
                self.known[entry.ref].against = mark.since if against is None else min(against, mark.since)

    @property
    def left(self) -> set[str]:
        return {entry.ref for entry in self.store.values() if self.ledger.departed(entry.ref)}

    @rule()
    def look(self) -> None:
        """Everything is listed completely."""
        self.failing, self.looked = False, self.now
        for ref, known in self.known.items():
            if known.exists and known.ready:
                self.ledger.see(ref, SOURCE)
                known.against, known.proven, known.shown = None, False, True
            else:
                known.shown = False
                reason = NOT_READY if known.exists else NOT_LISTED
                self.ledger.doubt(ref, SOURCE, reason, since=self.now)
                known.against = self.now if known.against is None else known.against
        self.book.listed(SOURCE, now=self.now)

    @rule()
    def fail(self) -> None:
        """The source cannot be reached."""
        self.book.failed(SOURCE)
        self.failing = True

    @rule(number=st.integers(0, 7), exists=st.booleans(), ready=st.booleans())
    def change(self, number: int, exists: bool, ready: bool) -> None:
        """A look would show something else from now on."""
        known = list(self.known.values())[number % len(self.known)]
        known.exists, known.ready = exists, ready

    @rule(number=st.integers(0, 7))
    @precondition(lambda self: not self.failing)
    def prove(self, number: int) -> None:
        """An event says that something was deleted."""
        ref = list(self.known)[number % len(self.known)]
        self.known[ref].exists, self.known[ref].proven = False, True
        self.ledger.end(ref, "deleted")

    @rule(seconds=st.sampled_from([1.0, GRACE / 2, GRACE, HOLD / 3, HOLD]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule()
    def store_marks(self) -> None:
        """What is to be stored is stored, and what has left is removed."""
        self.judge()
        marks = self.ledger.marks(self.store, now=self.now)
        self.ledger.persisted(self.store[key].ref for key, mark in marks.items() if mark is not None)
        self.store = {
            key: replace(entry, leaving=marks.get(key, entry.leaving))
            for key, entry in self.store.items()
            if entry.ref not in self.left
        }

    @rule(number=st.integers(0, 7), ago=st.sampled_from([None, 0.0, HOLD / 2, 2 * HOLD]))
    def hear_another_replica(self, number: int, ago: float | None) -> None:
        """Another replica has marked an entry some time ago, or has seen it and cleared the mark; storage is listed."""
        self.judge()
        ref = list(self.known)[number % len(self.known)]
        known, entry = self.known[ref], self.store.get(entry_key(ref))
        if entry is None or ref in self.left:
            return
        mark = None if ago is None else Leaving(since=int(self.now - ago), reason=NOT_LISTED)
        if mark is None and entry.leaving is not None and known.against is not None:
            known.against = self.now
        elif mark is not None and not known.shown:
            known.against = mark.since if known.against is None else min(known.against, mark.since)
        self.store[entry_key(ref)] = replace(entry, leaving=mark)
        self.ledger.adopt(self.store, now=self.now)

    @rule()
    def restart(self) -> None:
        """The process ends at any moment and starts over what is stored."""
        self.start()

    @invariant()
    def judge(self) -> None:
        """Whatever leaves was proven to be gone, or nothing spoke for it for long enough and a look agrees."""
        if not hasattr(self, "ledger"):
            return
        for ref in self.ledger.tick(self.now):
            known = self.known[ref]
            assert not self.failing
            assert known.against is not None
            waited = self.now - known.against
            assert waited >= (GRACE if self.ledger.departed(ref) == NOT_READY else HOLD)
            if self.ledger.departed(ref) == NOT_LISTED:
                assert self.looked is not None
                assert self.looked >= known.against + HOLD  # a look when it was due has agreed
        for ref in self.left:
            assert self.known[ref].proven or self.known[ref].against is not None


LedgerMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)
test_nothing_leaves_but_for_a_good_reason = LedgerMachine.TestCase
