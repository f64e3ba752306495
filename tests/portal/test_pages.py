"""What a developer sees of a model in the pages of a portal, in each way of reading the connector.

They come with two questions: is this the model I need, and how do I call it?
"""

import re
from dataclasses import dataclass

import pytest

from tests.backstage.readers import Reader
from tests.backstage.rig import reference
from tests.portal.browser import Visit
from tests.portal.portal import Portal
from tests.portal.scene import GRANITE, SERVED, Served
from tests.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

SECOND = (Reader.SECOND_GENERATION, Reader.SECOND_AND_PLAIN)
OURS = (Reader.PLAIN, Reader.SECOND_AND_PLAIN)
"""The readers that show entities as we write them."""
MACHINERY = re.compile(r"opendatahub|networking|kserve-io|dashboard|last-modified|isvc|true$")
"""What no tag says: things that matter to controllers only."""

MANY_TAGS = 12

each_model = pytest.mark.parametrize("model", SERVED, ids=lambda model: model.entity)


@dataclass(frozen=True)
class Entry:
    """An entity that shows a served model."""

    ref: str
    model: Served
    written_by_us: bool
    """Whether the entity is as we write it, not as a plugin lets it through."""

    @property
    def title(self) -> str:
        """What heads its page: the plugins know no titles."""
        return self.model.title if self.written_by_us else self.model.entity

    @property
    def owner_exists(self) -> bool:
        """Whether the entity can name its owner: the plugins write `user:` before every owner."""
        return self.written_by_us or self.model.owner.startswith("user:")


def entries(portal: Portal, model: Served) -> list[Entry]:
    """Return the entities that show how a model is called."""
    found = []
    if portal.reader in SECOND:
        found.append(Entry(f"aimodelserverapi:default/{model.entity}", model, written_by_us=False))
    if portal.reader is not Reader.SECOND_GENERATION:
        found.append(Entry(f"component:default/{model.entity}", model, written_by_us=portal.reader in OURS))
    return found


async def test_nothing_is_refused(portal: Portal) -> None:
    assert await portal.refusals() == [], await portal.explain()


async def test_the_list_shows_every_model(portal: Portal, visit: Visit) -> None:
    for kind in {entry.ref.partition(":")[0] for entry in entries(portal, GRANITE)}:
        seen = await visit.catalog(kind)
        shown = [entry for model in SERVED for entry in entries(portal, model) if entry.ref.startswith(kind)]
        assert [entry.title for entry in shown if entry.title not in seen] == []
        assert await visit.warnings() == []


async def shows_in_about(visit: Visit, words: str) -> None:
    """Wait until the card "About" says something that Backstage looks up by itself, such as the title of an owner."""

    async def shown() -> bool:
        return words in await visit.about()

    await eventually(shown, timeout=30, what=f"{words!r} is shown")


@each_model
async def test_an_entry_says_what_the_model_is_and_how_to_call_it(portal: Portal, visit: Visit, model: Served) -> None:
    for entry in entries(portal, model):
        seen = await visit.entry(entry.ref)
        assert entry.title in await visit.heading()

        about = await visit.about()
        assert model.what in about
        assert f"Call {portal.scene.address(model)} with model {model.name}." in about
        assert ("A bearer token is needed." if model.guarded else "No token is needed.") in about

        tags = await visit.tags()
        assert ("auth-required" if model.guarded else "auth-not-required") in tags
        assert [tag for tag in tags if MACHINERY.search(tag)] == []
        assert len(tags) <= MANY_TAGS

        links = await visit.links()
        assert portal.scene.route(model) in "\n".join(links)
        if entry.written_by_us:  # a plugin makes a link of where the model's files are, whatever that is
            assert [link for link in links if not link.startswith(("http://", "https://"))] == []

        if entry.owner_exists:
            assert "can't be found" not in seen
            assert await visit.warnings() == []
            if not entry.ref.startswith("aimodelserverapi:"):  # whose plugin relates no owner
                await shows_in_about(visit, model.owner_title)


@each_model
async def test_the_graph_joins_server_model_api_and_owner(portal: Portal, visit: Visit, model: Served) -> None:
    for entry in entries(portal, model):
        if portal.reader is Reader.SECOND_GENERATION:
            continue  # its entities have no relations; the plain feed in addition gives them some
        nodes = await visit.graph(entry.ref)
        assert reference(await portal.entity(f"resource:default/{model.model_entity}".lower())) in nodes
        if entry.ref.startswith("component:"):
            assert f"api:default/{model.entity}" in nodes
            if entry.owner_exists:
                assert model.owner in nodes


@each_model
async def test_search_finds_the_model_by_what_it_is(portal: Portal, visit: Visit, model: Served) -> None:
    titles = [entry.title for entry in entries(portal, model)]

    async def found() -> bool:
        seen = await visit.search(model.what)
        return all(title in seen for title in titles)

    await portal.wait_for(found, what=f"{titles} are found", timeout=60)
