"""Model cards as documentation: what a developer reads, in each way of reading the connector."""

import pytest

from tests.backstage.readers import Reader
from tests.portal.browser import Visit
from tests.portal.portal import Portal
from tests.portal.scene import GRANITE, IRIS, LLAMA, Served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

WITHOUT_CARD = (LLAMA, IRIS)


def holders(portal: Portal, model: Served) -> list[str]:
    """Return the entities whose documentation the card is."""
    server, resource = f"aimodelserverapi:default/{model.entity}", f"resource:default/{model.model_entity}"
    return {
        Reader.FIRST_GENERATION: [resource, f"component:default/{model.entity}"],
        Reader.SECOND_GENERATION: [server],
        Reader.PLAIN: [resource, f"component:default/{model.entity}"],
        Reader.SECOND_AND_PLAIN: [server, resource],
    }[portal.reader]


async def test_a_card_is_read_as_it_was_meant(portal: Portal, visit: Visit) -> None:
    for holder in holders(portal, GRANITE):
        document = await visit.card(holder)
        seen = await document.inner_text()

        assert "Chrysoberyl" in seen
        assert await document.locator("li").all_inner_texts() == [
            "Thinking",
            "Summaries",
            "Answers with <think> and </think>",
        ]
        assert await document.locator("table").filter(has_text="Arithmetic").count() == 1
        assert await document.locator("img[src='https://example.com/granite.png']").count() == 1
        assert "räksmörgås 模型 🚀" in await document.locator("pre").last.inner_text()
        assert "---" not in seen
        assert "alert(" not in seen
        assert await visit.page.title() != "taken over"
        assert await visit.warnings() == []
        visit.seen.outside.clear()  # the card's own picture


@pytest.mark.parametrize("model", [GRANITE, *WITHOUT_CARD], ids=lambda model: model.entity)
async def test_every_model_has_a_page_that_says_how_to_call_it(portal: Portal, visit: Visit, model: Served) -> None:
    for holder in holders(portal, model):
        seen = await (await visit.card(holder)).inner_text()

        assert "How to call it" in seen
        assert portal.scene.address(model) in seen
        assert model.name in seen
        assert ("$TOKEN" in seen) is model.guarded
        visit.seen.outside.clear()


async def test_documentation_is_built_without_an_error(portal: Portal, visit: Visit) -> None:
    for holder in holders(portal, LLAMA):
        await visit.card(holder)
        assert await visit.warnings() == []


async def test_a_model_is_found_by_a_word_of_its_card(portal: Portal, visit: Visit) -> None:
    for holder in holders(portal, GRANITE):
        await visit.card(holder)
    visit.seen.outside.clear()

    async def found() -> bool:
        return GRANITE.card in await visit.search(GRANITE.card.lower(), "techdocs")

    await portal.wait_for(found, what=f"a card with {GRANITE.card} is found", timeout=60)
