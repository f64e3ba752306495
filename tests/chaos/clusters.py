"""Clusters that come, go, hang, refuse and swap names, over restarts: nothing leaves that is still there.

`python -m tests.chaos.clusters --seeds 50` runs random schedules in simulated time: fake API servers, the file that
names them, a normalizer that follows it, a storage in memory. Holds and graces are shorter than a look at the file, so
that nothing but the rules keeps an entry.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from math import inf
from pathlib import Path

from common.clocks import loop_time
from common.wire import Applied, Batch
from services.normalizer.facts import Ref
from tests import objects
from tests.chaos.run import logging_to
from tests.fakes.kubernetes import FakeCluster
from tests.normalizer.fleet import Fleet, Following, following
from tests.normalizer.memory_storage import MemoryStorage
from tests.simulation.loop import simulate
from tests.simulation.network import Network
from tests.waiting import eventually

CLUSTERS = ("a", "b", "c")
NAMES = ("m", "n", "o")
"""The same in all clusters."""
STEPS = 25
SETTINGS = {"removal_hold": 0.05, "source_gone_grace": 0.05, "not_ready_grace": 3600}
A_MOMENT = 30.0
"""Seconds in which what was decided about a cluster that was out of the file may still be carried out."""
PAUSES = (0.1, 5.0, 60.0, 600.0)
"""Seconds between two steps: shorter and longer than a look at the file, and than the pauses after failures."""
CONVERGED = 600.0
"""Seconds until all is as it should be, after the last fault: pauses have grown by then."""


class JudgedStorage(MemoryStorage):
    """A storage that looks at each removal: what is removed must be gone, or stored under another key."""

    def __init__(self, may_leave: Callable[[Ref], bool]) -> None:
        super().__init__()
        self._may_leave = may_leave
        self.harm: list[str] = []

    async def apply(self, batch: Batch) -> Applied:
        sent = {upsert.ref for upsert in batch.upserts}
        for key, reason in batch.removals.items():
            entry = self.entries.get(key)
            kept = entry is None or entry.ref in sent or self._kept_elsewhere(key, entry.ref)
            if entry is not None and not kept and not self._may_leave(Ref.parse(entry.ref)):
                self.harm.append(f"{key} ({entry.ref}) was removed, {reason}, and is still there")
        return await super().apply(batch)

    def _kept_elsewhere(self, key: str, ref: str) -> bool:
        return any(entry.ref == ref for other, entry in self.entries.items() if other != key)


class Storm:
    """One schedule over one fleet."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self._fleet = fleet
        self._random = random.Random(seed)  # noqa: S311 - repeatable, guards nothing
        self._called = {name: name for name in CLUSTERS}
        self._listed = set(CLUSTERS[:2])
        self._normalizer = AsyncExitStack()
        self._out: dict[str, float] = {}
        self.storage = JudgedStorage(self._may_leave)
        self.log: list[str] = []
        self.names: dict[str, str] = {}

    def _may_leave(self, ref: Ref) -> bool:
        """Return whether the object of an entry is gone, or its cluster is not in the file, or was not a moment ago."""
        name, owner = self._owner(ref)
        was_out = loop_time() - self._out.get(name, -inf) < A_MOMENT
        return name not in self._listed or was_out or owner.get("InferenceService", *ref.ids) is None

    def _owner(self, ref: Ref) -> tuple[str, FakeCluster]:
        return next(each for each in self._fleet.clusters.items() if ref.place == f"127.0.0.1_{each[1].port}")

    async def run(self) -> list[str]:
        """Carry the schedule out and return what went wrong."""
        for name in CLUSTERS:
            await self._fleet.add(name)
        self._write()
        it = await self._start()
        for _ in range(STEPS):
            action = self._random.choice(self._actions())
            self.log.append(action.__name__.strip("_"))
            it = await action() or it
            await asyncio.sleep(self._random.choice(PAUSES))
            self._look()
        await self._end()
        await self._normalizer.aclose()
        return self.storage.harm

    def _actions(self) -> list[Callable[[], Awaitable[Following | None]]]:
        return [self._create, self._create, self._delete, self._list, self._swap, self._hang, self._refuse, self._heal,
                self._go_down, self._break_the_file, self._restart]  # fmt: skip

    # --- what happens

    async def _create(self) -> None:
        self._any().apply(objects.isvc(self._random.choice(NAMES)))

    async def _delete(self) -> None:
        cluster, name = self._any(), self._random.choice(NAMES)
        if cluster.get("InferenceService", "models", name) is not None:
            cluster.delete("InferenceService", "models", name)

    async def _list(self) -> None:
        """Let a cluster come into the file, or go out of it."""
        self._out |= dict.fromkeys(set(CLUSTERS) - self._listed, loop_time())
        self._listed ^= {self._random.choice(CLUSTERS)}
        self._listed = self._listed or {CLUSTERS[0]}
        self._write()

    async def _swap(self) -> None:
        names = list(self._called.values())
        self._random.shuffle(names)
        self._called = dict(zip(CLUSTERS, names, strict=True))
        self._write()

    async def _hang(self) -> None:
        self._any().fault("hang", times=None)

    async def _refuse(self) -> None:
        self._any().fault("status", times=None, status=self._random.choice((401, 403, 404, 500, 503)))

    async def _heal(self) -> None:
        self._any().clear_faults()

    async def _go_down(self) -> None:
        await self._any().restart(lose_history=self._random.random() < 0.5)

    async def _break_the_file(self) -> None:
        self._fleet.replace(self._random.choice(("", "clusters: [", "clusters:\n  - name: A\n")))

    async def _restart(self) -> Following:
        await self._normalizer.aclose()
        return await self._start()

    # --- how it goes on

    async def _start(self) -> Following:
        self._normalizer = AsyncExitStack()
        return await self._normalizer.enter_async_context(following(self._fleet, self.storage, **SETTINGS))

    def _any(self) -> FakeCluster:
        return self._fleet.clusters[self._random.choice(CLUSTERS)]

    def _write(self) -> None:
        entries = [self._fleet.entry(name, called=self._called[name]) for name in sorted(self._listed)]
        self._fleet.write(*entries)

    def _look(self) -> None:
        """Hold that each entry is called as it was first, for as long as it is there."""
        stored = {entry.ref for entry in self.storage.entries.values()}
        self.names = {ref: key for ref, key in self.names.items() if ref in stored}
        for key, entry in self.storage.entries.items():
            if self.names.setdefault(entry.ref, key) != key:
                self.storage.harm.append(f"{entry.ref} was {self.names[entry.ref]} and is {key}")

    async def _end(self) -> None:
        """Heal all and hold that there is then what there is."""
        for cluster in self._fleet.clusters.values():
            cluster.clear_faults()
            cluster.drop_connections()
        self._out |= dict.fromkeys(set(CLUSTERS) - self._listed, loop_time())
        self._listed = set(CLUSTERS)
        self._write()
        await self._restart()

        def as_it_is() -> bool:
            there = {
                str(Ref.isvc(f"127.0.0.1_{cluster.port}", "models", obj["metadata"]["name"]))
                for cluster in self._fleet.clusters.values()
                for obj in cluster.objects("InferenceService")
            }
            stored = [entry.ref for entry in self.storage.entries.values()]
            return set(stored) == there and len(stored) == len(there)

        try:
            await eventually(as_it_is, timeout=CONVERGED, interval=1)
        except AssertionError:
            self.storage.harm.append(f"not as it should be at the end: {sorted(self.storage.entries)}")


def run_seed(seed: int, folder: Path) -> tuple[list[str], list[str]]:
    """Run one seed; return what went wrong, and the schedule."""

    async def storm(_: Network) -> tuple[list[str], list[str]]:
        async with Fleet(folder) as fleet:
            storm = Storm(fleet, seed)
            return await storm.run(), storm.log

    with logging_to(folder / "log"):
        return simulate(storm, seed=seed)


def main() -> int:
    """Return 0 when every seed held."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.clusters", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds (default: 20)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    options = parser.parse_args()
    failed = 0
    for seed in range(options.first, options.first + options.seeds):
        with tempfile.TemporaryDirectory(prefix="chaos-clusters-") as folder:
            harm, schedule = run_seed(seed, Path(folder))
        failed += bool(harm)
        print(f"seed {seed}: " + ("; ".join([*harm[:5], *schedule]) if harm else "held"), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
