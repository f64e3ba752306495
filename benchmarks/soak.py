"""`python -m benchmarks.soak`: constant churn with faults; memory, file descriptors and tasks must stay flat.

Every 50 ms a model appears, changes, stops being ready, or goes, in the cluster or in the registry; every few seconds
something fails. In ten rests the faults are taken back: then exactly what exists must be served, and what the services
hold is written down. Some models are never touched; a reader looks all the time whether these are listed.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psutil

from benchmarks.fleet import name_of, namespace_of, service_of, services, uri_of
from benchmarks.patience import until
from benchmarks.probe import Probe
from benchmarks.world import LOCATION, NAMESPACE, World, resident, world
from tests.fakes.registry import MODELS
from tests.objects import not_ready

RESTS = 10
CHURN_PAUSE = 0.05
FAULT_PAUSE = 3.0
UNTOUCHED = 20
CHURNED = 100
REGISTERED = 50
MIB_OF_GROWTH = 4.0
"""How much a service may have grown from the third rest to the last."""
SETTINGS = {"POLLING_INTERVAL": "3s", "NOT_READY_GRACE": "1s", "SOURCE_GONE_GRACE": "1h"}
DESCRIPTION = "modelcatalogbridge.rhdh.io/description"


@dataclass(frozen=True, slots=True)
class Holding:
    """What a service holds at rest."""

    mib: float
    descriptors: int
    threads: int
    tasks: int


class Churn:
    """Changes the world at random, and knows what must be served in the end."""

    def __init__(self, place: World, rng: random.Random) -> None:
        self._place = place
        self._rng = rng
        self._texts: dict[int, str] = {}
        self._registered: dict[str, str] = {}
        self.changes = 0

    @property
    def expected(self) -> set[str]:
        """The URIs of what exists and is ready."""
        return {
            *map(uri_of, range(UNTOUCHED)),
            *map(uri_of, self._texts),
            *(f"/{name}/v1/model-catalog.json" for name in self._registered),
        }

    @property
    def texts(self) -> dict[str, str]:
        """The description that each InferenceService was given last, by URI."""
        return {uri_of(number): text for number, text in self._texts.items()}

    async def begin(self) -> None:
        """Fill the world."""
        await self._place.cluster.apply_all(services(UNTOUCHED))
        for number in range(UNTOUCHED, UNTOUCHED + CHURNED):
            await self._put(number)
        for number in range(REGISTERED):
            await self._register(f"soak-{number}")

    async def step(self) -> None:
        """Change one thing."""
        self.changes += 1
        number = self._rng.randrange(UNTOUCHED, UNTOUCHED + CHURNED)
        kind = self._rng.choices(("put", "unready", "delete", "edit", "register", "drop"), (60, 10, 10, 10, 5, 5))[0]
        if kind == "put":
            await self._put(number)
        elif kind == "unready" and number in self._texts:
            await self._place.cluster.apply(not_ready(service_of(number)))
            del self._texts[number]
        elif kind == "delete" and number in self._texts:
            await self._place.cluster.delete("InferenceService", namespace_of(number), name_of(number))
            del self._texts[number]
        elif kind == "edit":
            each = self._rng.choice(list(self._registered.values()))
            await self._place.registry.registry("edit", MODELS, each, description=f"change {self.changes}")
        elif kind == "register" and len(self._registered) < 2 * REGISTERED:
            await self._register(f"soak-{self.changes}-more")
        elif kind == "drop" and len(self._registered) > REGISTERED:
            name = self._rng.choice(list(self._registered))
            await self._place.registry.registry("delete", MODELS, self._registered.pop(name))

    async def _put(self, number: int) -> None:
        self._texts[number] = f"change {self.changes} of {number}"
        await self._place.cluster.apply(service_of(number, annotations={DESCRIPTION: self._texts[number]}))

    async def _register(self, name: str) -> None:
        model = await self._place.registry.registry("add_model", name, owner="someone")
        version = await self._place.registry.registry("add_version", model, "v1")
        await self._place.registry.registry("add_artifact", version, name=name, uri=f"oci://example.com/{name}:1")
        self._registered[name] = model


class Faults:
    """Lets one thing after the other fail."""

    def __init__(self, place: World, rng: random.Random) -> None:
        self._rng = rng
        cluster, registry = place.cluster, place.registry.registry
        self._kinds: dict[str, Callable[[], Awaitable[object]]] = {
            "API server answers 500": lambda: cluster.fault("status", times=5, status=500),
            "API server answers 429": lambda: cluster.fault("status", times=3, status=429, retry_after=1),
            "API server loses requests": lambda: cluster.fault("drop", times=3),
            "API server loses answers to writes": lambda: cluster.fault("drop_after", times=2, method="PATCH"),
            "API server cuts answers in half": lambda: cluster.fault("truncate", times=2),
            "API server is slow": lambda: cluster.fault("delay", times=5, seconds=1.0),
            "API server forgets history": cluster.compact,
            "watches expire": lambda: cluster.disturb_watches("gone"),
            "watches bring garbage": lambda: cluster.disturb_watches("garbage"),
            "watches end": lambda: cluster.disturb_watches("close"),
            "connections break": cluster.drop_connections,
            "API server restarts": lambda: cluster.restart(down_for=0.5),
            "someone deletes the cache": lambda: cluster.delete("ConfigMap", NAMESPACE, "bac-import-model"),
            "registry answers 503": lambda: registry("fail", "status", times=5),
            "registry cuts answers": lambda: registry("fail", "cut", times=3),
            "registry shows a login page": lambda: registry("fail", "login", times=2),
            "registry loses a page": lambda: registry("fail", "shrinking", times=2, count=3),
            "registry is slow": lambda: registry("fail", "slow", times=5, seconds=0.5),
        }
        self._heal = (cluster.clear_faults, lambda: registry("heal"))
        self.seen: Counter[str] = Counter()

    async def strike(self) -> None:
        """Let one thing fail."""
        name = self._rng.choice(list(self._kinds))
        self.seen[name] += 1
        await self._kinds[name]()

    async def heal(self) -> None:
        """Let everything succeed again."""
        for heal in self._heal:
            await heal()


class Watchman:
    """Looks all the time whether what no one touches is listed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._uris = {uri_of(number).encode() for number in range(UNTOUCHED)}
        self.looks = 0
        self.harm: list[str] = []

    async def run(self) -> None:
        """Look until cancelled."""
        async with Probe(self._url) as probe:
            while True:
                status, body = await probe.get("/list")
                self.looks += 1
                if missing := [uri for uri in self._uris if uri not in body]:
                    self.harm.append(f"{status}, without {len(missing)} of {UNTOUCHED}")
                await asyncio.sleep(0.05)


async def soak(seconds: float, seed: int) -> int:
    """Soak for so long; print what each rest found, and return 1 when something is not flat or not right."""
    rng = random.Random(seed)  # noqa: S311 - churn, not cryptography
    async with world(variables=SETTINGS) as place:
        place.pod.tolerate("")  # faults are meant to be complained about
        churn, faults = Churn(place, rng), Faults(place, rng)
        await churn.begin()
        await place.pod.start()
        await _right(place, churn)
        watchman = Watchman(place.pod[LOCATION].url)
        rests: list[dict[str, Holding]] = []
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watchman.run())
            for rest in range(1, RESTS + 1):
                await _trouble(churn, faults, seconds / RESTS)
                await faults.heal()
                recovered = await _right(place, churn)
                rests.append(await _holdings(place))
                print(_line(rest, churn.changes, recovered, rests[-1]), flush=True)
            watching.cancel()
        wrong = [*_growth(rests), *(f"/list while untouched: {harm}" for harm in watchman.harm[:3])]
        print(f"\n{churn.changes} changes, {faults.seen.total()} faults, {watchman.looks} looks at /list")
        print(_complaints(place))
    print("\n".join(wrong) if wrong else "flat, and right at every rest")
    return 1 if wrong else 0


async def _trouble(churn: Churn, faults: Faults, seconds: float) -> None:
    end = time.monotonic() + seconds
    next_fault = time.monotonic() + FAULT_PAUSE
    while time.monotonic() < end:
        await churn.step()
        if time.monotonic() > next_fault:
            await faults.strike()
            next_fault = time.monotonic() + FAULT_PAUSE
        await asyncio.sleep(CHURN_PAUSE)


async def _right(place: World, churn: Churn) -> float:
    """Wait until exactly what exists is served, as it was changed last; return the seconds that took."""
    began = time.perf_counter()

    async def right() -> bool:
        status, body = await place.feed.get("/list")
        if status != 200 or set(json.loads(body)["uris"]) != churn.expected:
            return False
        for uri, text in churn.texts.items():
            status, body = await place.feed.get(uri)
            if status != 200 or json.loads(body)["models"][0]["description"] != text:
                return False
        return True

    return await until(right, timeout=120, what="everything served right", pause=0.05) - began


async def _holdings(place: World) -> dict[str, Holding]:
    await place.until_idle(quiet=0.5)
    return {name: await _holding(place, name) for name in place.pod.services}


async def _holding(place: World, name: str) -> Holding:
    process = psutil.Process(place.pod[name].pid)
    tasks = await place.pod.metric(name, "rhoai_connector_tasks")
    return Holding(resident(process.pid), process.num_fds(), process.num_threads(), round(tasks))


def _growth(rests: Sequence[dict[str, Holding]]) -> list[str]:
    """Return what is not flat: the first rests are left out, caches and pools fill up in them."""
    faults = []
    for name in rests[0]:
        early, last = [rest[name] for rest in rests[2:5]], rests[-1][name]
        if last.mib - early[0].mib > MIB_OF_GROWTH:
            faults.append(f"{name} grew from {early[0].mib:.1f} to {last.mib:.1f} MiB")
        for what in ("descriptors", "threads", "tasks"):
            most = max(getattr(holding, what) for holding in early)
            # A connection that is about to be closed may be there at one rest and not at another.
            if getattr(last, what) > most + (4 if what == "descriptors" else 1):
                faults.append(f"{name} has {getattr(last, what)} {what} at the end, {most} at first")
    return faults


def _line(rest: int, changes: int, recovered: float, holdings: dict[str, Holding]) -> str:
    parts = [
        f"{name} {h.mib:.1f} MiB {h.descriptors} fds {h.threads} threads {h.tasks} tasks"
        for name, h in holdings.items()
    ]
    return f"{rest:2}/{RESTS}  {changes:6} changes, right after {recovered:.1f} s | " + " | ".join(parts)


def _complaints(place: World) -> str:
    """Return what the services logged as errors, by event: an exception among them is an internal error."""
    seen = Counter(
        f"{name}: {line['event'].splitlines()[0][:100]}" + (" (with a traceback)" if "exception" in line else "")
        for name, service in place.pod.services.items()
        for line in service.events()
        if line.get("level") in ("error", "critical")
    )
    return "\n".join(f"logged {count} x {event}" for event, count in seen.most_common())


def main() -> int:
    """Read the command line and soak."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="default: ten minutes")
    parser.add_argument("--seed", type=int, default=1, help="of the changes and faults")
    options = parser.parse_args()
    return asyncio.run(soak(options.seconds, options.seed))


if __name__ == "__main__":
    sys.exit(main())
