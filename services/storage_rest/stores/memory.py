"""A store that forgets: for tests and for trying things out."""

from collections.abc import Collection
from collections.abc import Set as AbstractSet

from common.wire import Changes, Upsert
from services.storage_rest.stores.base import Contents, Refusal, View


class MemoryStore:
    """Keeps nothing but for the life of the process, where the cache has it already."""

    fault = ""
    shards = ()

    def lacks(self, keys: Collection[str]) -> AbstractSet[str]:
        """Lack nothing."""
        return frozenset()

    async def run(self, view: View) -> None:
        """Load nothing."""
        view.load(Contents())

    def check(self, upsert: Upsert) -> Refusal | None:
        """Take an entry of any size."""
        return None

    def check_card(self, key: str, text: str) -> Refusal | None:
        """Take a card of any size."""
        return None

    def write(self, changes: Changes) -> None:
        """Do nothing."""

    async def durable(self, keys: Collection[str], cards: Collection[str], *, complete: bool) -> tuple[Refusal, ...]:
        """Return at once."""
        return ()
