"""The definition of an API as a developer sees it: it is drawn, and what it shows can be pasted, run and clicked."""

import asyncio
import os

import pytest

from tests.backstage.readers import Reader
from tests.fakes.model_server import ANSWER, TOKEN
from tests.portal.browser import Visit
from tests.portal.portal import Portal
from tests.portal.scene import GRANITE, SERVED, Served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

OPERATIONS = {
    "openai": ("/models", "/chat/completions", "/completions"),
    "open-inference": ("/v2/models/{}", "/v2/models/{}/infer"),
    "kserve-v1": ("/v1/models/{}:predict",),
}
each_model = pytest.mark.parametrize("model", SERVED, ids=lambda model: model.entity)


@pytest.fixture(autouse=True)
def has_definitions(portal: Portal) -> None:
    if portal.reader is Reader.SECOND_GENERATION:
        pytest.skip("the second generation makes no API entities: the plain feed in addition has them")


@each_model
async def test_a_definition_is_drawn(portal: Portal, visit: Visit, model: Served) -> None:
    seen = await visit.definition(f"api:default/{model.entity}")

    assert "Unable to render" not in seen
    assert portal.scene.address(model) in seen
    for operation in OPERATIONS[model.protocol]:
        assert operation.format(model.name) in seen.replace("\u200b", "")
    assert await visit.warnings() == []


@each_model
async def test_a_definition_asks_for_a_token_where_one_is_needed(portal: Portal, visit: Visit, model: Served) -> None:
    await visit.definition(f"api:default/{model.entity}")
    assert bool(await visit.page.get_by_role("button", name="Authorize").count()) is model.guarded


@each_model
async def test_the_command_that_is_shown_runs(portal: Portal, visit: Visit, model: Served) -> None:
    await visit.definition(f"api:default/{model.entity}")
    command = await visit.page.locator(".information-container pre code, .info pre code").first.inner_text()
    server = portal.scene.servers[model.entity]
    server.calls.clear()

    shell = await asyncio.create_subprocess_exec(
        *("bash", "-euc", command),
        env={**os.environ, "TOKEN": TOKEN},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    answer, errors = await shell.communicate()

    assert shell.returncode == 0, errors.decode()
    assert [call.status for call in server.calls] == [200] * len(server.calls) != []
    assert ANSWER in answer.decode() or model.protocol != "openai"


async def test_a_model_answers_on_its_page(portal: Portal, visit: Visit) -> None:
    await visit.definition(f"api:default/{GRANITE.entity}")
    operation = visit.page.locator(".opblock", has=visit.page.get_by_text("Continue a conversation"))
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()

    answer = operation.locator(".live-responses-table .response").first
    await answer.wait_for()
    assert ANSWER in await answer.inner_text()
