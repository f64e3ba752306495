"""The interface between the cache and its store."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from common.http.errors import RemoteError
from common.status import ShardStatus
from common.wire import Changes, Upsert


class StoreUnavailable(RemoteError):
    """The store cannot be read or written now; the text names the cause, `retry_after` is in seconds.

    It is a `RemoteError`, so that callers in the same process handle it like a failed request.
    """

    def __init__(self, reason: str, *, retry_after: int = 5) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document or card that cannot be stored: its key, the HTTP status of the answer, and why."""

    key: str
    status: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCache:
    """Everything that a store contained at the start; `complete`: a former process knew that it was complete.

    `damage` says what is missing from a cache that was complete before; empty if nothing is.
    """

    upserts: tuple[Upsert, ...] = ()
    cards: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False
    damage: str = ""


class CacheView(Protocol):
    """The cache in memory as the store sees it: it is authoritative, and the store repairs itself from it."""

    @property
    def complete(self) -> bool:
        """Whether the cache is known to be complete."""

    @property
    def damage(self) -> str:
        """What was missing when the store was loaded, until the cache is known to be complete again."""

    def entry(self, key: str) -> Upsert | None:
        """Return the entry under a key."""

    def card(self, key: str) -> str | None:
        """Return the text of a card."""

    def load(self, loaded: LoadedCache) -> None:
        """Start with the content of the store; called once, before anything is written."""

    def progressed(self) -> None:
        """Called when something became durable or `fault` has changed."""

    def take_over(self, upserts: Iterable[Upsert], cards: Mapping[str, str]) -> None:
        """Accept what another process wrote into the store."""

    def removed_elsewhere(self, keys: Collection[str]) -> AbstractSet[str]:
        """Called when another replica has removed entries; return those that are still wanted."""


class Store(Protocol):
    """Makes changes durable.

    `write` is called with changes in order: the latest for a key wins, and a change that is superseded before it was
    written need not be written.
    """

    async def run(self, view: CacheView) -> None:
        """Load into `view`, then write and follow until cancelled; the store retries by itself."""

    @property
    def fault(self) -> str:
        """Why the store cannot be read or written, and what to do; empty after a successful write."""

    @property
    def shards(self) -> Sequence[ShardStatus]:
        """The ConfigMaps that contain the cache, for the status page; empty for other stores."""

    def lacks(self, keys: Collection[str]) -> AbstractSet[str]:
        """Return those of the keys whose entries are not durable yet."""

    def check(self, upsert: Upsert) -> Refusal | None:
        """Return a refusal if an entry is too large to be stored, else None."""

    def check_card(self, key: str, text: str) -> Refusal | None:
        """Return a refusal if a card is too large to be stored, else None."""

    def write(self, changes: Changes) -> None:
        """Start to make changes durable."""

    async def durable(self, keys: Collection[str], cards: Collection[str], *, complete: bool) -> tuple[Refusal, ...]:
        """Wait until everything written for these keys and cards is durable; with `complete`, that flag too.

        Returns what could not be stored at all.

        Raises:
            StoreUnavailable: it takes longer than a caller should wait; the store keeps trying.
        """
