"""MLflow: the same as of a real server, and what a server does on bad days."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.mlflow import MODELS, RUN, VERSION, VERSIONS, FakeMlflow
from tests.mlflow.contract import SERVICE_ACCOUNT, Contract, Server, document, live


@pytest.fixture
async def fake() -> AsyncIterator[FakeMlflow]:
    async with FakeMlflow() as fake:
        yield fake


@pytest.fixture
async def server(fake: FakeMlflow) -> AsyncIterator[Server]:
    async with Server(fake.url) as server:
        yield server


class TestFakeServer(Contract):
    pass


async def filled(server: Server, *, versions: int = 2) -> str:
    name = await server.model()
    for _ in range(versions):
        await server.version(name)
    return name


@pytest.mark.parametrize("path", [MODELS, VERSIONS])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 500}, "error"),
        ({"kind": "status", "status": 503}, "unavailable"),
        ({"kind": "status", "status": 429, "retry_after": 7}, "unavailable"),
        ({"kind": "status", "status": 403}, "forbidden"),
        ({"kind": "status", "status": 404}, "absent"),
        ({"kind": "login"}, "answer"),
        ({"kind": "redirect"}, "answer"),
        ({"kind": "truncated"}, "answer"),
        ({"kind": "cut"}, "unreachable"),
    ],
)
async def test_a_list_that_cannot_be_read_removes_nothing(
    fake: FakeMlflow, server: Server, path: str, fault: dict[str, Any], kind: str
) -> None:
    name = await filled(server)
    async with server.polling() as poller:
        await poller.poll()
        fake.fail(path=path, **fault)
        reading = await poller.poll()
        assert (reading.complete, live(reading, name)) == (False, {"1", "2"})
        assert reading.fault is not None
        assert reading.fault.kind == kind
        assert reading.retry_after == fault.get("retry_after")

        fake.heal()
        reading = await poller.poll()
        assert (reading.complete, reading.fault, reading.touched) == (True, None, frozenset())


async def test_a_server_that_is_down_removes_nothing(fake: FakeMlflow, server: Server) -> None:
    name = await filled(server)
    async with server.polling() as poller:
        await poller.poll()
        await fake.down()
        reading = await poller.poll()
        assert (reading.complete, live(reading, name)) == (False, {"1", "2"})


async def test_a_short_list_is_not_believed(fake: FakeMlflow, server: Server) -> None:
    name = await filled(server, versions=3)
    async with server.polling() as poller:
        await poller.poll()
        fake.fail("shrinking", path=VERSIONS, count=2)
        reading = await poller.poll()
    assert (reading.complete, live(reading, name)) == (False, {"1", "2", "3"})
    assert reading.fault is not None
    assert reading.fault.kind == "inconsistent"


async def test_a_404_that_is_not_mlflows_own_proves_nothing(fake: FakeMlflow, server: Server) -> None:
    name = await filled(server)
    async with server.polling() as poller:
        await poller.poll()
        fake.fail("shrinking", path=VERSIONS)
        fake.fail("status", path=VERSION, status=404)
        reading = await poller.poll()
    assert (reading.complete, live(reading, name)) == (False, {"1", "2"})


async def test_a_database_that_is_lost_proves_nothing_about_its_versions(fake: FakeMlflow, server: Server) -> None:
    await filled(server)
    async with server.polling() as poller:
        await poller.poll()
        fake.lose_database()
        reading = await poller.poll()
    assert reading.complete  # what it lacks is in doubt from now on
    assert not reading.versions


async def test_pages_that_lead_back_are_no_whole_list(
    fake: FakeMlflow, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.normalizer.sources.mlflow_lists.PAGE_SIZES", (1,))
    await filled(server, versions=3)
    fake.fail("repeating", path=VERSIONS)
    async with server.polling() as poller:
        reading = await poller.poll()
    assert not reading.complete
    assert reading.fault is not None
    assert reading.fault.kind == "answer"


@pytest.mark.parametrize("bound", [{"MAX_ITEMS": 2}, {"MAX_BYTES": 100}])
async def test_a_list_with_more_than_is_read_is_not_complete(
    server: Server, monkeypatch: pytest.MonkeyPatch, bound: dict[str, int]
) -> None:
    monkeypatch.setattr("services.normalizer.sources.mlflow_lists.PAGE_SIZES", (1,))
    await filled(server, versions=4)
    for name, value in bound.items():
        monkeypatch.setattr(f"services.normalizer.sources.mlflow_lists.{name}", value)
    async with server.polling() as poller:
        reading = await poller.poll()
    assert not reading.complete
    assert reading.fault is not None
    assert reading.fault.kind == "too-large"


async def test_a_server_that_joins_too_long_is_asked_for_smaller_pages_from_then_on(
    fake: FakeMlflow, server: Server
) -> None:
    name = await filled(server)
    fake.fail("slow", path=MODELS, seconds=3600, times=1)
    async with server.polling(timeout=5) as poller:
        reading = await poller.poll()
        assert (reading.complete, live(reading, name)) == (True, {"1", "2"})
        fake.counted(reset=True)
        assert (await poller.poll()).complete
    assert fake.counted() == {f"GET {MODELS}": 1, f"GET {VERSIONS}": 1}


async def test_a_run_that_cannot_be_read_keeps_the_version_as_it_was(fake: FakeMlflow, server: Server) -> None:
    run = await server.run(accuracy=1)
    name = await server.model()
    number = await server.version(name, run_id=run)
    fake.fail("status", path=RUN, status=500)
    async with server.polling() as poller:
        reading = await poller.poll()
        [version] = reading.versions.values()
        assert version.id not in reading.artifacts  # not read to the end
        assert reading.complete
        assert reading.fault is not None

        fake.heal()
        reading = await poller.poll()
        assert version.id in reading.touched
        assert document(reading, name, number).document.models[0].training == "Metrics of run brave-fox: accuracy 1."


@pytest.mark.parametrize("status", [403, 404])
async def test_a_run_that_is_gone_or_forbidden_is_left_out(fake: FakeMlflow, server: Server, status: int) -> None:
    name = await server.model()
    number = await server.version(name, run_id="0123456789abcdef")
    if status == 403:
        fake.fail("status", path=RUN, status=403)
    async with server.polling() as poller:
        reading = await poller.poll()
    assert (reading.complete, reading.fault) == (True, None)
    assert document(reading, name, number).document.models[0].training is None


async def test_no_change_costs_two_requests(fake: FakeMlflow, server: Server) -> None:
    run = await server.run(accuracy=1)
    name = await server.model()
    for _ in range(5):
        await server.version(name, run_id=run)
    async with server.polling() as poller:
        first = await poller.poll()
        fake.counted(reset=True)
        second = await poller.poll()
        assert second.touched == frozenset()
        for each, version in first.known.items():
            assert second.known[each] is version  # neither parsed nor told again
    assert fake.counted() == {f"GET {MODELS}": 1, f"GET {VERSIONS}": 1}


async def test_prompts_are_no_models(server: Server) -> None:
    name = await server.model(tags=[{"key": "mlflow.prompt.is_prompt", "value": "true"}])
    await server.version(name, tags=[{"key": "mlflow.prompt.is_prompt", "value": "true"}])
    async with server.polling() as poller:
        reading = await poller.poll()
    assert not list(reading.live())
    assert not reading.problems


async def test_a_model_that_people_mark_is_not_live(server: Server) -> None:
    name = await filled(server)
    async with server.polling() as poller:
        await poller.poll()
        await server.send("registered-models/set-tag", name=name, key="rhdh.modelcatalog.io/ignore", value="true")
        assert live(await poller.poll(), name) == set()
        await server.send("registered-models/set-tag", name=name, key="rhdh.modelcatalog.io/ignore", value="false")
        assert live(await poller.poll(), name) == {"1", "2"}


async def test_items_of_any_shape_do_not_end_it(fake: FakeMlflow, server: Server) -> None:
    name = await filled(server)
    fake._models["odd"] = {"name": "odd", "tags": "none", "aliases": [1, None, {"alias": {}}]}
    fake._versions["odd", 1] = {"name": None, "version": [], "creation_timestamp": 0, "current_stage": "None"}
    async with server.polling() as poller:
        reading = await poller.poll()
    assert (reading.complete, live(reading, name)) == (True, {"1", "2"})
    assert [problem.message for problem in reading.problems] == ["it is not usable without name, registeredModelId"]


async def test_the_credentials_of_the_server_are_sent_and_no_other(
    fake: FakeMlflow, server: Server, tmp_path: Any
) -> None:
    server.credentials = tmp_path
    fake.tokens, fake.forbidden = {"sesame"}, {SERVICE_ACCOUNT}
    async with server.polling() as poller:
        reading = await poller.poll()
        assert reading.fault is not None
        assert reading.fault.kind == "unauthorized"
        (tmp_path / "team.token").write_text("sesame\n")
        assert (await poller.poll()).fault is None
