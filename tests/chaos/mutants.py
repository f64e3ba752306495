"""Faults to put back, each of which the judge must find: how far it can be trusted.

As a program, `python mutants.py NAME PROGRAM [ARGUMENT...]` runs a service with one of them. Nothing in the product
knows of this.
"""

import runpy
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from unittest import mock

Setup = Literal["pod", "run", "replicas", "original"]
"""As in `schedule.py`, which this program cannot import."""
Replacements = Sequence[tuple[Any, str, Any]]
"""Attributes of modules or classes of the product, and their new values."""
_OVER_HTTP: Final[tuple[Setup, ...]] = ("pod", "replicas", "original")
_ALL: Final[tuple[Setup, ...]] = ("run", *_OVER_HTTP)
_ORIGINAL: Final[tuple[Setup, ...]] = ("original",)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault: what is wrong with it, what puts it into modules of the product, and the setups that run these."""

    about: str
    apply: Callable[[], Replacements]
    setups: Collection[Setup] = ("pod", "run", "replicas")


def wrapper(name: str) -> tuple[str, ...]:
    """Return the command line that runs a service with this fault."""
    return (sys.executable, __file__, name)


@contextmanager
def put_back(name: str) -> Iterator[None]:
    """Let the product have this fault during the block (none: without a name)."""
    with ExitStack() as stack:
        for owner, attribute, value in MUTANTS[name].apply() if name else ():
            stack.enter_context(mock.patch.object(owner, attribute, value))
        yield


def _impatient(**patience: float) -> Callable[[], Replacements]:
    def apply() -> Replacements:
        from services.normalizer.ledger import Ledger

        former: Any = Ledger.__init__

        def begin(self: Ledger, given: Any, book: Any) -> None:
            former(self, replace(given, **patience), book)

        return [(Ledger, "__init__", begin)]

    return apply


def _missing_is_gone() -> Replacements:
    from services.normalizer.facts import Gone, Missing
    from services.normalizer.sink import Intake

    former = Intake.changed

    def changed(self: Intake, source: str, news: Mapping[Any, Any]) -> None:
        former(self, source, {ref: Gone() if isinstance(fact, Missing) else fact for ref, fact in news.items()})

    return [(Intake, "changed", changed)]


def _absent_kind_is_gone() -> Replacements:
    from common.faults import Fault, kind_of
    from services.normalizer.sources.kserve import collection
    from services.normalizer.sources.kserve.collection import Collection

    part: Any = vars(collection)["_Part"]
    change, state = part.on_change, Collection.state
    known: set[Any] = set()

    def remember(self: Any, key: Any, old: Any, new: Any, explicit: bool) -> None:
        (known.discard if new is None else known.add)(key)
        change(self, key, old, new, explicit)

    def forget(self: Collection[Any], number: int, fault: Fault | None) -> None:
        if kind_of(fault) == "absent":
            for key in tuple(known):
                known.discard(key)
                self.changed(key, None, True)
        state(self, number, fault)

    return [(part, "on_change", remember), (Collection, "state", forget)]


def _stored_minus_wanted() -> Replacements:
    from services.normalizer.desired import Desired

    return [(Desired, "_departure", lambda self, ref, stored: "not-wanted")]


def _damage_is_not_seen() -> Replacements:
    from services.storage_rest.stores import configmap
    from services.storage_rest.stores.loading import CacheCondition

    former: Any = vars(configmap)["assess"]

    def assess(*shards: Any, **options: Any) -> CacheCondition:
        condition = former(*shards, **options)
        return CacheCondition(complete=True) if condition.damage else condition

    return [(configmap, "assess", assess)]


def _removed_from_the_cache() -> Replacements:
    from common.wire import Batch
    from services.storage_rest.stored import StoredCache
    from services.storage_rest.stores.configmap import ConfigMapStore

    former = ConfigMapStore.changed_by_others

    def changed(self: ConfigMapStore, family: Any, changes: Mapping[str, Any], *, lost: bool) -> None:
        gone = [slot for slot, change in changes.items() if change is None]
        if isinstance(self._view, StoredCache) and gone and family is self._entries:
            self._view.accept(Batch(removals=dict.fromkeys(gone, "absent")))
        former(self, family, changes, lost=lost)

    return [(ConfigMapStore, "changed_by_others", changed)]


def _keyset(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[], Replacements]:
    def apply() -> Replacements:
        from services.storage_rest import service

        former: Any = vars(service)["decide"]
        return [(service, "decide", lambda *keys, **given: former(*keys, **(given | change(given))))]

    return apply


def _snapshot_is_whole() -> Replacements:
    from services.location.follow import ShelfUpdater

    former = ShelfUpdater.load

    def load(self: ShelfUpdater, entries: Any, rest: Any) -> None:
        former(self, entries, replace(rest, confirmed=True))

    return [(ShelfUpdater, "load", load)]


def _incomplete_is_served() -> Replacements:
    from services.location import first_generation

    return [(first_generation, "require_complete", lambda shelf: None)]


def _storage_away_empties() -> Replacements:
    from services.location.follow import StorageFollower

    former = StorageFollower._failed

    def failed(self: StorageFollower, error: Exception) -> None:
        for entry in self._shelf.entries():
            self._shelf.remove(entry.key)
        former(self, error)

    return [(StorageFollower, "_failed", failed)]


MUTANTS: Final[Mapping[str, Mutant]] = {
    "no-hold": Mutant("what a list lacks leaves at once", _impatient(hold=0.0)),
    "no-grace": Mutant("what is not ready for a moment leaves", _impatient(not_ready=0.0)),
    "missing-is-gone": Mutant("what a list lacks counts as deleted", _missing_is_gone),
    "absent-kind-is-gone": Mutant("a 404 for the whole collection deletes all of it", _absent_kind_is_gone),
    "stored-minus-wanted": Mutant("what is stored and not wanted is removed", _stored_minus_wanted),
    "damage-is-not-seen": Mutant("what is left of a damaged cache counts as all there is", _damage_is_not_seen, _ALL),
    "removed-from-the-cache": Mutant("what vanishes from a ConfigMap is removed", _removed_from_the_cache, _ALL),
    "keyset-is-the-truth": Mutant(
        "what the original does not name is removed, however much",
        _keyset(lambda given: {"policy": replace(given["policy"], hold=0)}),
        _ORIGINAL,
    ),
    "keyset-confirms-damage": Mutant(
        "the original's names confirm what is left of a damaged cache, though they lack some of it",
        _keyset(lambda given: {"damaged": False}),
        _ORIGINAL,
    ),
    "snapshot-is-whole": Mutant(
        "location drops what a snapshot lacks, confirmed or not", _snapshot_is_whole, _OVER_HTTP
    ),
    "incomplete-is-served": Mutant("location serves what is not complete", _incomplete_is_served, _ALL),
    "storage-away-empties": Mutant(
        "location drops all when storage does not answer", _storage_away_empties, _OVER_HTTP
    ),
}


def main() -> None:
    """Run a program of the product with a fault."""
    _, name, *command = sys.argv
    sys.argv = command
    with put_back(name):
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
