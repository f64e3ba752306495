"""What a store does for the cache, and what it needs of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from common.http.client import RemoteError
from common.status import ShardStatus
from common.wire import Changes, Upsert


class StoreUnavailable(RemoteError):
    """Nothing can be read or written for now; the text names the cause, `retry_after` is in seconds.

    To a caller in the same process it is what it would be over HTTP: an answer that did not come.
    """

    def __init__(self, reason: str, *, retry_after: int = 5) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Refusal:
    """One document or card that cannot be kept: its key, the HTTP status that says so, and why."""

    key: str
    status: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything that a store held at the start; `complete` when a former process knew that it was everything.

    `damage` says where something is missing from what was complete once; what could be read is only a part then.
    """

    upserts: tuple[Upsert, ...] = ()
    cards: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False
    damage: str = ""


class View(Protocol):
    """The copy in memory, which is right whatever the store says; the store repairs itself from it."""

    @property
    def complete(self) -> bool:
        """Whether the copy is known to be everything."""

    @property
    def damage(self) -> str:
        """What was missing when the store was loaded, until somebody said that the copy is everything all the same."""

    def entry(self, key: str) -> Upsert | None:
        """Return the entry under a key."""

    def card(self, key: str) -> str | None:
        """Return the text of a card."""

    def load(self, contents: Contents) -> None:
        """Take what the store held at the start; called once, before anything is written."""

    def progressed(self) -> None:
        """Learn that something became durable, or that `fault` has changed."""

    def take_over(self, upserts: Iterable[Upsert], cards: Mapping[str, str]) -> None:
        """Take what somebody else wrote into the store meanwhile."""

    def removed_elsewhere(self, keys: Collection[str]) -> AbstractSet[str]:
        """Learn that another process of ours has removed entries; return those that are wanted all the same."""


class Store(Protocol):
    """Makes changes durable.

    `write` takes them in the order of its calls; the latest for a key wins, and what is superseded before it was
    written need not be written at all.
    """

    async def run(self, view: View) -> None:
        """Load into `view`, then write and follow until cancelled; back-off and retries are the store's own."""

    @property
    def fault(self) -> str:
        """Why nothing can be read or written and what to do; empty after a write that succeeded."""

    @property
    def shards(self) -> Sequence[ShardStatus]:
        """The ConfigMaps that the cache is kept in, for people; none where it is kept otherwise."""

    def lacks(self, keys: Collection[str]) -> AbstractSet[str]:
        """Return those of the keys whose entries are not durable yet."""

    def check(self, upsert: Upsert) -> Refusal | None:
        """Return whether an entry is too large to be kept at all."""

    def check_card(self, key: str, text: str) -> Refusal | None:
        """Return whether a card is too large to be kept at all."""

    def write(self, changes: Changes) -> None:
        """Begin to make changes durable."""

    async def durable(self, keys: Collection[str], cards: Collection[str], *, complete: bool) -> tuple[Refusal, ...]:
        """Wait until everything written for these keys and cards is durable, and that the cache is complete if asked.

        Returns what turned out to be impossible to keep.

        Raises:
            StoreUnavailable: when that takes longer than a caller should wait; it is tried further all the same.
        """
