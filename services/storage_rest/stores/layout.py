"""Decides which key is in which ConfigMap of a family (`bac-import-model`, `bac-import-model-2`, …). No I/O.

The rules:

- A key moves only to a ConfigMap with a higher number, and is removed from the old one after it is in the new one. So
  if a process ends in between, the copy with the higher number is the newer one.
- A key moves only when it is written and its ConfigMap would exceed the budget. So a ConfigMap that another program
  wrote, however large, is kept as it is.
- The first ConfigMap says how many there are, so that a missing one is noticed. That number never decreases. It is
  written after the new ConfigMap, whose contents are not durable before.
- New keys fill a ConfigMap only up to `FILL`, so that its values can grow; a value larger than the budget gets a
  ConfigMap of its own.
"""

import re
from collections.abc import Collection, Iterable, KeysView, Mapping

from services.storage_rest.stores.objects import Change, Observation, Value
from services.storage_rest.stores.shard import Shard

FILL = 0.85
"""Share of the budget that new keys fill; the rest is left for existing values to grow."""


class Layout:
    """The layout of one family: `put` sets what is wanted, `work` returns what to send, the rest records results."""

    def __init__(self, *, base: str, budget: int) -> None:
        self.base = base
        self._budget = budget
        self._shards: dict[int, Shard] = {}
        self._where: dict[str, set[int]] = {}
        self._unsettled: dict[str, str | None] = {}
        self._deferred: dict[int, Observation] = {}
        self._expected: set[str] = set()
        self._marking = True
        self._highest = 0
        self._pattern = re.compile(re.escape(base) + r"(?:-([2-9]|[1-9]\d{1,5}))?\Z")
        self._shard(1)

    def has_name(self, name: str) -> bool:
        """Return whether a ConfigMap of this name belongs to the family."""
        return self._pattern.match(name) is not None

    @property
    def shards(self) -> Collection[Shard]:
        """Every known ConfigMap, including those that do not exist yet."""
        return self._shards.values()

    def mark(self, *, enabled: bool) -> None:
        """Write the marks of all ConfigMaps, or leave them unchanged because the loaded cache does not match them."""
        self._marking = enabled
        for number in range(2, self.first.wants_shards + 1):
            self._shard(number).due = True
        for shard in self._shards.values():
            shard.marking = enabled

    @property
    def marking(self) -> bool:
        """Whether marks are written."""
        return self._marking

    @property
    def marked(self) -> bool:
        """Whether every ConfigMap has the mark of its keys, and the first one the number of ConfigMaps."""
        return self.numbered and all(s.mark == s.wanted_mark for s in self._shards.values() if s.exists)

    @property
    def numbered(self) -> bool:
        """Whether the first ConfigMap has the number of ConfigMaps."""
        return self.first.shards >= self._highest

    @property
    def first(self) -> Shard:
        """The ConfigMap without a number in its name."""
        return self._shards[1]

    @property
    def unsettled(self) -> KeysView[str]:
        """The keys whose last `put` is not durable yet."""
        return self._unsettled.keys()

    def holds(self, key: str) -> bool:
        """Return whether a ConfigMap will contain a key when everything is written."""
        return any(shard.keeps(key) for shard in self._holders(key))

    # --- what is wanted

    def put(self, key: str, change: Change) -> None:
        """Set the wanted value of a key, None to remove it."""
        self._unsettled[key] = change.digest if change else None
        if change is None:
            self._no_longer_expect(key)
            for shard in self._holders(key):
                self._plan(shard, key, None)
        else:
            home = self._home(key, change.size)
            for shard in self._holders(key):
                if shard is not home:
                    self._unplan_arrival(shard, key)
            self._plan(home, key, change)
        self._check(key)

    def tidy(self, keys: Iterable[str]) -> None:
        """Remove the older copies of keys that are in several ConfigMaps."""
        for key in keys:
            self._check(key)

    # --- what is sent, and the results

    def work(self) -> list[Shard]:
        """Return the ConfigMaps for which something could be sent now."""
        return [shard for shard in self._shards.values() if shard.has_work]

    def confirm(self, shard: Shard, version: int) -> None:
        """Record that the patch of a ConfigMap was written."""
        created = not shard.exists
        changed = shard.confirm(version)
        if created:
            self._count(shard.number)
        for key in changed:
            self._locate(shard, key)
            self._check(key)

    def refuse(self, shard: Shard) -> Mapping[str, Value]:
        """Record that the API server refuses a patch as too large; its values are planned elsewhere.

        Returns the values that do not fit into an empty ConfigMap either; they are given up.
        """
        patch = shard.put_back(certain=True)
        puts = patch.puts
        if patch.create and len(puts) > 1:
            shard.one_by_one = True  # perhaps only one of them is too large
            return {}
        if patch.create:
            for key in puts:
                self._unplan_arrival(shard, key)
                self._unsettled.pop(key, None)
            return puts
        shard.full = True
        for key in puts:
            change = shard.pending.get(key)
            if change is not None:
                self.put(key, change)
        return {}

    def put_back(self, shard: Shard, *, certain: bool = False) -> None:
        """Record that a patch was not written; unless `certain`, it may have been written all the same."""
        for key in shard.put_back(certain=certain).changes:
            self._locate(shard, key)
            self._check(key)

    # --- what the API server shows

    def observe(self, seen: Observation, *, listed: bool = False) -> dict[str, Change]:
        """Process a ConfigMap as it was observed; return what other processes changed (None: removed everywhere).

        A list (`listed`) with an older version than the known one was either made before our last write, or comes from
        a cluster that was restored from a backup: the ConfigMap is read again to find out.
        """
        shard = self._shard(self._number(seen.name))
        if shard.busy:
            self._deferred[shard.number] = seen
            return {}
        if listed and seen.version < shard.version:
            shard.unsure = True
            return {}
        former = shard.keys
        foreign = shard.observe(seen)
        self._count(shard.number, announced=seen.shards)
        self._expected |= shard.missing
        return self._changed(shard, foreign, former)

    def read(self, shard: Shard, seen: Observation | None) -> dict[str, Change]:
        """Process a ConfigMap that was read again, None if it does not exist; returns as `observe`."""
        shard.reading = False
        shard.unsure = True
        return self.observe(seen) if seen else self.lose(shard)

    def catch_up(self, shard: Shard) -> dict[str, Change]:
        """Process what was observed while a patch was being sent; returns as `observe`."""
        seen = self._deferred.pop(shard.number, None)
        return self.observe(seen) if seen else {}

    def lose(self, shard: Shard) -> dict[str, Change]:
        """Process the deletion of a ConfigMap; returns as `observe`."""
        self._deferred.pop(shard.number, None)
        former = shard.keys
        lost = shard.lose()
        self._expected |= shard.missing
        return self._changed(shard, lost, former)

    def find(self, name: str) -> Shard:
        """Return the ConfigMap with this name."""
        return self._shard(self._number(name))

    def recall(self, name: str, key: str, data: bytes) -> Value | None:
        """Return what bytes of a ConfigMap are if they are those that it had before, without decoding them."""
        shard = self._shards.get(self._number(name))
        return shard.recall(key, data) if shard is not None else None

    # --- internal

    def _count(self, number: int, *, announced: int = 0) -> None:
        """Update the number of ConfigMaps that the first one announces; those with lower numbers must exist first."""
        self._highest = max(self._highest, number)
        self.first.wants_shards = max(self.first.wants_shards, announced)
        for lower in range(self.first.wants_shards + 1, self._highest + 1):
            shard = self._shard(lower)
            if not shard.exists:
                shard.due = True
                return
            self.first.wants_shards = lower

    def _changed(self, shard: Shard, foreign: dict[str, Change], former: set[str]) -> dict[str, Change]:
        for key in former | shard.held.keys():
            self._locate(shard, key)
            if key in self._unsettled:
                self._check(key)
        return {key: change for key, change in foreign.items() if change is not None or not self.holds(key)}

    def _home(self, key: str, size: int) -> Shard:
        """Return the ConfigMap for a value of this size."""
        holders = self._holders(key)
        start = 1
        if holders:
            home = holders[-1]
            fits = home.size_without(key) + size <= self._budget
            if not home.full and (fits or home.is_alone(key)):
                return home
            start = home.number + 1
        number = start
        while shard := self._shards.get(number):
            empty = shard.size_without(key) == 0
            if not shard.full and (empty or shard.size_without(key) + size <= self._budget * FILL):
                return shard
            number += 1
        return self._shard(number)

    def _holders(self, key: str) -> list[Shard]:
        return [self._shards[number] for number in sorted(self._where.get(key, ()))]

    def _plan(self, shard: Shard, key: str, change: Change) -> None:
        shard.plan(key, change)
        self._locate(shard, key)

    def _unplan_arrival(self, shard: Shard, key: str) -> None:
        """Cancel a planned value that has not been sent."""
        if shard.pending.get(key) is not None:
            shard.unplan(key)
            self._locate(shard, key)

    def _locate(self, shard: Shard, key: str) -> None:
        numbers = self._where.setdefault(key, set())
        if shard.concerns(key):
            numbers.add(shard.number)
        else:
            numbers.discard(shard.number)
        if not numbers:
            del self._where[key]

    def _check(self, key: str) -> None:
        """Check whether a key is durable; if so, plan the removal of its older copies."""
        holders = self._holders(key)
        if not holders:
            if self._unsettled.get(key, "") is None:
                del self._unsettled[key]
            return
        *older, home = holders
        digest = home.has(key)
        if digest is None or self._unsettled.get(key, digest) != digest:
            return
        self._unsettled.pop(key, None)
        self._no_longer_expect(key)
        for shard in older:
            self._plan(shard, key, None)

    def expects(self, key: str) -> bool:
        """Return whether the marks say that a missing key should exist."""
        return key in self._expected

    def _no_longer_expect(self, key: str) -> None:
        if key in self._expected:
            self._expected.discard(key)
            for shard in self._shards.values():
                shard.no_longer_expect(key)

    def _number(self, name: str) -> int:
        match = self._pattern.match(name)
        if match is None:
            raise ValueError(f"{name} is not one of {self.base}, {self.base}-2, …")
        return int(match[1] or 1)

    def _shard(self, number: int) -> Shard:
        if number not in self._shards:
            self._shards[number] = Shard(self.base if number == 1 else f"{self.base}-{number}", number)
            self._shards[number].marking = self._marking
        return self._shards[number]
