"""Models come, change and go, services die and registries fail, while three catalogs read: what must stay, stays."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.backstage import rich_set
from tests.backstage.conftest import StartBackstage
from tests.backstage.readers import Reader
from tests.backstage.rig import Backstage
from tests.backstage.sidecars import LOCATION, NORMALIZER, STORAGE, Sidecars
from tests.backstage.watcher import Watcher
from tests.backstage.world import World
from tests.objects import isvc, stopped

pytestmark = pytest.mark.timeout(400)

SAID = "modelcatalogbridge.rhdh.io/"
ROUNDS = 20
"""What a reader asks in ten minutes."""


class Catalogs:
    """Three catalogs that read one feed, each with its own way."""

    def __init__(self, world: World, sidecars: Sidecars, all_of_them: list[Backstage], watchers: list[Watcher]) -> None:
        self.world = world
        self.sidecars = sidecars
        self._all = all_of_them
        self._watchers = watchers

    async def show(self, *models: str, server: bool = True) -> None:
        """Wait until each catalog shows the models (and a server of that name), and expect them from then on."""
        for catalog, watcher in zip(self._all, self._watchers, strict=True):
            wanted = {ref for model in models for ref in refs(catalog.reader, model, server=server)}
            await catalog.wait_for(partial(contains, catalog, wanted), what=f"{sorted(wanted)} are shown")
            watcher.expect(*wanted)

    async def drop(self, *models: str) -> None:
        """Wait until no catalog shows anything of the models any more."""
        for catalog in self._all:
            await catalog.wait_for(partial(lacks, catalog, models), what=f"{models} are gone")

    def release(self, *models: str) -> None:
        """Let the models go."""
        for catalog, watcher in zip(self._all, self._watchers, strict=True):
            watcher.release(*(ref for model in models for ref in refs(catalog.reader, model)))

    async def describe(self, model: str, description: str) -> None:
        """Wait until each catalog shows the description."""
        for catalog in self._all:
            ref = refs(catalog.reader, model)[0]

            async def described(catalog: Backstage = catalog, ref: str = ref) -> bool:
                shown = (await catalog.entity(ref))["metadata"].get("description", "")
                return bool(shown.startswith(description))  # how to call the model follows

            await catalog.wait_for(described, what=f"{ref} says {description!r}", ref=ref)

    async def show_card(self, text: str) -> None:
        """Wait until the card is read as `text` by every catalog that can."""
        for catalog in self._all:
            if catalog.reader in rich_set.CARD_HOLDERS:
                ref = rich_set.CARD_HOLDERS[catalog.reader]
                await catalog.wait_for(partial(reads, catalog, ref, text), what=f"the card of {ref} is {text!r}")

    async def read_again(self, rounds: int = 2) -> None:
        """Let every catalog read the feed `rounds` times more."""
        await asyncio.gather(*(catalog.read_again(rounds) for catalog in self._all))

    async def assert_nothing_vanished(self) -> None:
        """Assert that every entity was there in every look, and that the catalogs refused nothing."""
        for catalog, watcher in zip(self._all, self._watchers, strict=True):
            assert watcher.looks > ROUNDS
            assert watcher.vanished == {}, f"{catalog.reader}\n{self.sidecars.logs()}"
            # A Location that could not be read for a while is what was to be expected.
            refused = [each for each in await catalog.refusals() if not each.entity.startswith("location:")]
            assert refused == [], await catalog.explain()


def refs(reader: Reader, model: str, *, server: bool = True) -> list[str]:
    """The entities of a model that has the same name as its server."""
    if reader is Reader.SECOND_GENERATION:
        return [f"aimodelserverapi:default/{model}"] if server else []
    kinds = ("resource", "component", "api") if server else ("resource",)
    return [f"{kind}:default/{model}" for kind in kinds]


async def contains(catalog: Backstage, wanted: set[str]) -> bool:
    return wanted <= await catalog.references()


async def lacks(catalog: Backstage, models: tuple[str, ...]) -> bool:
    return not {ref.split("/")[1] for ref in await catalog.references()} & set(models)


async def reads(catalog: Backstage, ref: str, text: str) -> bool:
    with contextlib.suppress(aiohttp.ClientResponseError):  # not yet, or not while location is down
        return (await catalog.card(ref)).page.startswith(text.partition("\n")[0])
    return False


@pytest.fixture
async def catalogs(tmp_path: Path, start_backstage: StartBackstage) -> AsyncIterator[Catalogs]:
    """A world with `models-first` and `models-second` in the cluster, `granite-v1` in a registry, shown by all."""
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(World(tmp_path))
        for name in ("first", "second"):
            world.cluster.apply(isvc(name))
        add_version(world, world.registry.add_model("granite"), "v1")
        sidecars = await world.connect()
        readers = [start_backstage(reader, sidecars.feed) for reader in Reader]
        running = await asyncio.gather(*(stack.enter_async_context(reader) for reader in readers))
        watchers = [await stack.enter_async_context(Watcher(each, set()).watching()) for each in running]
        catalogs = Catalogs(world, sidecars, list(running), watchers)
        await catalogs.show("models-first", "models-second")
        await catalogs.show("granite-v1", server=False)
        yield catalogs


def add_version(world: World, model: str, name: str) -> str:
    version = world.registry.add_version(model, name, description=f"version {name}")
    world.registry.add_artifact(version, name=f"artifact-{name}", uri="oci://registry.example.com/granite:1")
    return version


async def test_what_happens_to_models_happens_in_the_catalogs(catalogs: Catalogs) -> None:
    world = catalogs.world
    world.cluster.apply(isvc("third"))
    await catalogs.show("models-third")

    world.cluster.apply(isvc("third", annotations={SAID + "description": "Changed in place"}))
    await catalogs.describe("models-third", "Changed in place")

    model = world.registry.add_model("mistral")
    version = add_version(world, model, "v1")
    await catalogs.show("mistral-v1", server=False)
    catalogs.release("mistral-v1")
    world.registry.archive("registered_models", model)
    await catalogs.drop("mistral-v1")
    world.registry.restore("registered_models", model)
    await catalogs.show("mistral-v1", server=False)
    catalogs.release("mistral-v1")
    world.registry.archive("model_versions", version)
    await catalogs.drop("mistral-v1")

    catalogs.release("models-third")
    world.cluster.apply(stopped(isvc("third")))
    await catalogs.drop("models-third")
    world.cluster.apply(isvc("third"))
    await catalogs.show("models-third")
    catalogs.release("models-third")
    world.cluster.delete("inferenceservices", "models", "third")
    await catalogs.drop("models-third")
    await catalogs.assert_nothing_vanished()


async def test_no_failure_takes_an_entity_away(catalogs: Catalogs) -> None:
    """Ten minutes' worth of rounds, and in every one of them something is broken."""
    world, sidecars = catalogs.world, catalogs.sidecars

    for service in (LOCATION, STORAGE, NORMALIZER):
        await sidecars.kill(service)
        await catalogs.read_again()
        await sidecars.start(service)
        await catalogs.read_again()

    for service in (LOCATION, STORAGE, NORMALIZER):
        await sidecars.kill(service)
    await asyncio.gather(*(sidecars.start(service) for service in (NORMALIZER, STORAGE, LOCATION)))
    await sidecars.ready()
    await catalogs.read_again()

    await world.registry.down()
    await sidecars.restart(NORMALIZER)
    await catalogs.read_again(3)
    await world.registry.up()

    world.registry.fail("status", status=503)
    await catalogs.read_again(3)
    world.registry.heal()

    await world.cluster.go_down()
    await sidecars.restart(LOCATION)
    await catalogs.read_again(3)
    await world.cluster.come_back()

    world.cluster.fault("status", times=None, status=403, resource="inferenceservices")
    world.cluster.disturb_watches("close")
    await sidecars.restart(NORMALIZER)
    await catalogs.read_again(3)
    world.cluster.clear_faults()

    await catalogs.read_again(ROUNDS)
    world.cluster.apply(isvc("after-all"))
    await catalogs.show("models-after-all")
    await catalogs.assert_nothing_vanished()


async def test_what_changed_while_services_were_down_is_made_good(catalogs: Catalogs) -> None:
    world, sidecars = catalogs.world, catalogs.sidecars
    catalogs.release("models-second")
    for service in (NORMALIZER, STORAGE, LOCATION):
        await sidecars.kill(service)
    world.cluster.delete("inferenceservices", "models", "second")
    world.cluster.apply(isvc("third"))
    world.cluster.apply(isvc("first", annotations={SAID + "description": "Changed unseen"}))
    await catalogs.read_again()
    await asyncio.gather(*(sidecars.start(service) for service in (LOCATION, STORAGE, NORMALIZER)))
    await catalogs.show("models-third")
    await catalogs.describe("models-first", "Changed unseen")
    await catalogs.drop("models-second")
    await catalogs.assert_nothing_vanished()


async def test_a_card_follows_its_source_and_outlives_restarts(catalogs: Catalogs) -> None:
    world, sidecars = catalogs.world, catalogs.sidecars
    rich_set.add_card(world)
    await catalogs.show_card(rich_set.CARD)
    rich_set.write_card(world, "# Second edition")
    await catalogs.show_card("# Second edition")
    await world.catalog.down()
    for service in (LOCATION, STORAGE, NORMALIZER):
        await sidecars.restart(service)
    await sidecars.ready(LOCATION, STORAGE)  # the normalizer tells that it has no catalog to read
    await catalogs.read_again(3)
    await catalogs.show_card("# Second edition")
    await world.catalog.up()
    rich_set.write_card(world, "# Third edition")
    await catalogs.show_card("# Third edition")
    await catalogs.assert_nothing_vanished()
