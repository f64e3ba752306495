"""Writes to storage-rest as the normalizer does: compares what it wants with what is stored, and sends the difference.

It knows what was acknowledged to it, and notices when storage does not have it any more.
"""

import asyncio
import json
import random
from collections import defaultdict
from dataclasses import dataclass, field

from common.wire import Batch, CacheListing, Upsert, card_digest, encode_batch, parse_applied, parse_listing
from tests.process.pod import STORAGE, Pod

BATCH = 100
WORDS = ("model", "weights", "trained", "evaluated", "tokens", "layers", "licence", "intended", "bias", "benchmark")


def document(key: str, edition: int, size: int = 2000) -> bytes:
    """A document of about `size` bytes."""
    name = key.replace("_", "-")
    description = f"edition {edition} "
    description += "x" * (size - 120 - len(description))
    model = {"name": name, "owner": "team", "lifecycle": "production", "description": description}
    return json.dumps({"models": [model]}, separators=(",", ":")).encode()


def card(key: str, edition: int, size: int = 20_000) -> str:
    """A model card of `size` characters that no compression makes small."""
    dice = random.Random(f"{key} {edition}")  # noqa: S311 - no cryptography
    words = (f"{dice.choice(WORDS)}{dice.randrange(10**4)}" for _ in range(size // 8))
    return f"# {key}, edition {edition}\n{' '.join(words)}"[:size]


def entry(key: str, edition: int = 0, *, card_key: str = "") -> Upsert:
    """What is stored of one model."""
    uri = f"/{key.replace('_', '/', 1)}/model-catalog.json"
    return Upsert(
        key=key, body=document(key, edition), reconciler="kserve", uri=uri, source="kserve", ref=key, card_key=card_key
    )


@dataclass
class Sender:
    """`entries` and `cards` are what is wanted; the test changes them as it likes."""

    pod: Pod
    entries: dict[str, Upsert] = field(default_factory=dict)
    cards: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    """What was acknowledged and then was not there."""
    acknowledged: int = 0
    """Batches."""
    _certain: dict[str, str | None] = field(default_factory=dict)
    _possible: defaultdict[str, set[str | None]] = field(default_factory=lambda: defaultdict(set))

    async def sync(self) -> None:
        """Send until storage has what is wanted, whatever happens to it meanwhile."""
        while True:
            try:
                listing = await self._listing()
                if not await self._send_difference(listing):
                    return
            except (OSError, TimeoutError, AssertionError):
                await asyncio.sleep(0.05)  # it is being killed, or starts

    async def _listing(self) -> CacheListing:
        answer = await self.pod.get(STORAGE, "/list?detail=true")
        assert answer.status == 200, answer.body
        listing = parse_listing(answer.body)
        assert listing is not None
        stored: dict[str, str | None] = {key: entry.digest for key, entry in listing.entries.items()}
        stored |= {f"card {key}": digest for key, digest in listing.cards.items()}
        for key, certain in self._certain.items():
            if stored.get(key) != certain and stored.get(key) not in self._possible[key]:
                self.lost.append(f"{key} is {stored.get(key)}, acknowledged was {certain}")
        return listing

    async def _send_difference(self, listing: CacheListing) -> bool:
        """Send one batch; False when there was nothing to send."""
        changed = [e for key, e in self.entries.items() if self._digest(listing, key) != e.digest][:BATCH]
        cards = {key: text for key, text in self.cards.items() if listing.cards.get(key) != card_digest(text)}
        cards = dict(list(cards.items())[: BATCH // 4])
        gone = {key: "deleted" for key in listing.entries if key not in self.entries}
        if not (changed or cards or gone) and listing.complete:
            return False
        told: dict[str, str | None] = {e.key: e.digest for e in changed} | dict.fromkeys(gone)
        told |= {f"card {key}": card_digest(text) for key, text in cards.items()}
        for key, digest in told.items():
            self._possible[key].add(digest)
        last = len(changed) < BATCH and len(cards) < BATCH // 4
        batch = Batch(upserts=tuple(changed), removals=gone, cards=cards, complete=last)
        answer = await self.pod.write("POST", STORAGE, "/batch", data=encode_batch(batch))
        assert answer.status == 200, answer.body
        assert not parse_applied(answer.body).refused
        self.acknowledged += 1
        for key, digest in told.items():
            self._certain[key] = digest
            self._possible[key].clear()
        return True

    @staticmethod
    def _digest(listing: CacheListing, key: str) -> str | None:
        stored = listing.entries.get(key)
        return stored.digest if stored else None
