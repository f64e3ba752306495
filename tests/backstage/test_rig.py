"""The rig itself: the readers do what they are known to do with good answers and bad, and a refusal does not go unseen.

The feed here is a stand-in, for the connector must never be able to serve what half of these tests need.
"""

import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.backstage.conftest import StartBackstage
from tests.backstage.expectation import assert_expected
from tests.backstage.readers import Reader
from tests.backstage.rig import Backstage, Refusal
from tests.backstage.static_feed import Document, StaticFeed
from tests.backstage.watcher import Watcher

FIRST, SECOND = Reader.FIRST_GENERATION, Reader.SECOND_GENERATION
FIRST_ENTITIES = {"resource:default/digits-v2", "component:default/digits", "api:default/digits"}
SECOND_ENTITIES = {"aimodelserverapi:default/digits"}
ENTITIES = {FIRST: FIRST_ENTITIES, SECOND: SECOND_ENTITIES}

DESCRIPTOR = """
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {name: digits-v2}
spec: {type: ai-model, owner: "user:vision"}
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {name: "Digits/v3"}
spec: {type: ai-model, owner: "user:vision"}
"""


def digits(feed: str = "http://localhost:9090") -> Document:
    text = Path(__file__).with_name("fixtures").joinpath("digits.json").read_text()
    document: Document = json.loads(text.replace("{feed}", feed))
    return document


def renamed(document: Document, name: str) -> Document:
    copied = copy.deepcopy(document)
    copied["models"][0]["name"] = copied["modelServer"]["name"] = name
    return copied


def changed(path: str, value: Any) -> Document:
    """A copy of the document in which the value at `path`, such as `modelServer.API`, is another."""
    document = digits()
    *parents, last = path.split(".")
    holder: Any = document
    for step in parents:
        holder = holder[int(step) if step.isdigit() else step]
    holder[last] = value
    return document


UNREADABLE_LISTS = [(503, "{}"), (401, "{}"), (200, '{"uris": ['), (200, "")]
LISTS_OF_NOTHING = ['{"uris": null}', "[]", "{}"]
BAD_DOCUMENTS = [
    (404, ""),
    (500, ""),
    (200, "{"),
    (200, "{}"),
    (200, '{"models": null}'),
    (200, json.dumps(changed("modelServer.API", None))),
    (200, json.dumps(changed("models.0.tags", None))),
    (200, json.dumps(changed("models.0.annotations", None))),
    (200, json.dumps(changed("models.0.tags", [1]))),
    (200, json.dumps(changed("models.0.name", ""))),
]


@pytest.fixture
async def feed() -> AsyncIterator[StaticFeed]:
    feed = StaticFeed({}, cards={"digits_v2": "# Digits\n\nReads them."}, descriptor=DESCRIPTOR)
    async with feed.serving():
        feed.documents["digits_v2"] = digits(feed.base_url)
        yield feed


@pytest.fixture(params=[FIRST, SECOND], ids=lambda reader: reader.value)
async def backstage(
    request: pytest.FixtureRequest, feed: StaticFeed, start_backstage: StartBackstage
) -> AsyncIterator[Backstage]:
    """A backend that has read the one good document."""
    async with start_backstage(request.param, feed.base_url) as backstage:
        await backstage.wait_for_references(ENTITIES[request.param])
        yield backstage


async def test_a_document_becomes_the_entities_that_the_plugin_makes_of_it(
    backstage: Backstage, feed: StaticFeed
) -> None:
    entities = await backstage.settled()
    assert_expected(entities, f"digits.{backstage.reader.value}.json", feed=feed.base_url)
    assert await backstage.refusals() == []


async def test_the_card_is_read_as_techdocs_reads_it(backstage: Backstage, feed: StaticFeed) -> None:
    holder = {FIRST: "resource:default/digits-v2", SECOND: "aimodelserverapi:default/digits"}[backstage.reader]
    card = await backstage.card(holder)
    assert card.page == "# Digits\n\nReads them."
    assert (card.directory / "mkdocs.yml").is_file()
    feed.cards.clear()
    with pytest.raises(aiohttp.ClientResponseError) as refused:
        await backstage.card(holder)
    assert refused.value.status == 404


async def test_a_list_that_cannot_be_read_changes_nothing(backstage: Backstage, feed: StaticFeed) -> None:
    feed.documents["more_1"] = renamed(digits(), "more")
    for answer in UNREADABLE_LISTS:
        feed.answers["/list"] = answer
        await backstage.read_again()
        assert await backstage.references() == ENTITIES[backstage.reader], answer


async def test_a_list_without_uris_deletes_everything(backstage: Backstage, feed: StaticFeed) -> None:
    for body in LISTS_OF_NOTHING:
        feed.answers["/list"] = (200, body)
        await backstage.wait_for_references(set())
        feed.answers.clear()
        await backstage.wait_for_references(ENTITIES[backstage.reader])


async def test_one_bad_document_ends_the_round_of_the_first_generation(
    feed: StaticFeed, start_backstage: StartBackstage
) -> None:
    async with start_backstage(FIRST, feed.base_url) as backstage:
        await backstage.wait_for_references(FIRST_ENTITIES)
        feed.documents["more_1"] = renamed(digits(), "more")
        for answer in BAD_DOCUMENTS:
            feed.answers["/more/1/model-catalog.json"] = answer
            feed.documents["digits_v2"]["models"][0]["description"] = f"Changed before {answer}"
            await backstage.read_again()
            assert await backstage.references() == FIRST_ENTITIES, answer
            kept = await backstage.entity("resource:default/digits-v2")
            assert kept["metadata"]["description"] == digits()["models"][0]["description"], answer
        feed.answers.clear()
        more = {f"{kind}:default/more" for kind in ("resource", "component", "api")}
        await backstage.wait_for_references(FIRST_ENTITIES | more)


async def test_what_is_no_longer_listed_is_deleted(backstage: Backstage, feed: StaticFeed) -> None:
    feed.documents.clear()
    await backstage.wait_for_references(set())


async def test_an_entity_that_vanishes_and_returns_does_not_go_unseen(backstage: Backstage, feed: StaticFeed) -> None:
    ref = min(ENTITIES[backstage.reader])
    async with Watcher(backstage, {ref, "resource:default/absent"}).watching() as watcher:
        watcher.release("resource:default/absent")
        await backstage.read_again()
        assert watcher.vanished == {}
        feed.answers["/list"] = (200, "{}")
        await backstage.wait_for_references(set())
        feed.answers.clear()
        await backstage.wait_for_references(ENTITIES[backstage.reader])
    assert watcher.vanished.keys() == {ref}


async def test_a_refused_entity_is_reported_in_the_validators_words(backstage: Backstage, feed: StaticFeed) -> None:
    feed.documents["bad_1"] = renamed(digits(), "Digits/v3")

    async def refused() -> list[Refusal]:
        return await backstage.refusals()

    for refusal in await backstage.wait_for(refused, what="the refusal is seen"):
        assert refusal.entity.endswith(":default/digits/v3")
        assert "Digits/v3" in refusal.words
    assert await backstage.references() == ENTITIES[backstage.reader]
    with pytest.raises(AssertionError, match=r"refused:\s+\w+:default/digits/v3"):
        await backstage.entity("component:default/absent")


async def test_a_change_for_the_worse_leaves_the_former_entity_and_is_seen(
    backstage: Backstage, feed: StaticFeed
) -> None:
    feed.documents["digits_v2"] = changed("modelServer.lifecycle", "")

    async def refused() -> list[Refusal]:
        return await backstage.refusals()

    await backstage.wait_for(refused, what="the refusal is seen")
    assert await backstage.references() == ENTITIES[backstage.reader]


async def test_of_two_documents_with_one_name_only_one_is_kept_and_no_one_is_told(
    backstage: Backstage, feed: StaticFeed
) -> None:
    feed.documents["more_1"] = renamed(digits(), "DIGITS")
    feed.documents["more_2"] = renamed(digits(), "digits")
    await backstage.read_again()
    names = [ref for ref in await backstage.references() if ref.split("/")[1] == "digits"]
    assert len(names) == len(set(names))
    assert await backstage.refusals() == []


async def test_a_descriptor_file_is_read_without_a_plugin(feed: StaticFeed, start_backstage: StartBackstage) -> None:
    async with start_backstage(Reader.PLAIN, feed.base_url) as backstage:
        await backstage.wait_for_references({"resource:default/digits-v2"})

        async def refused() -> list[Refusal]:
            return await backstage.refusals()

        for refusal in await backstage.wait_for(refused, what="the refusal is seen"):
            assert "Digits/v3" in refusal.words
        feed.answers["/catalog-info.yaml"] = (503, "")
        await backstage.read_again()
        assert await backstage.references() == {"resource:default/digits-v2"}


async def test_a_backend_that_cannot_start_says_why(feed: StaticFeed, start_backstage: StartBackstage) -> None:
    async with start_backstage(FIRST, feed.base_url) as first:
        second = start_backstage(FIRST, feed.base_url)
        second.port = first.port
        with pytest.raises(RuntimeError, match="EADDRINUSE"):
            await second.__aenter__()
