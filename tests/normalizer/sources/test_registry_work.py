"""What a poll of a registry costs: requests are counted exactly."""

import asyncio
import contextlib
import json
import sys
from dataclasses import replace
from typing import Literal
from unittest.mock import AsyncMock

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from common.faults import Fault
from services.normalizer.normalize.registered_version import RegisteredVersion
from services.normalizer.source import News, Sink
from services.normalizer.sources import http
from services.normalizer.sources.kubeflow import paging, tables
from services.normalizer.sources.kubeflow.poller import RegistryPoller
from services.normalizer.sources.registry_source import RegistrySource
from tests.fakes.registry import ALL, ML_METADATA, MODELS, V1, V1ALPHA3, VERSIONS, FakeRegistry, PageLimits
from tests.normalizer.sources.support import ARTIFACTS, LISTS, Polled, connector, live, polling, ref_of

EARLIER_LIMITS = PageLimits(default=20, cap=20)


@pytest.mark.parametrize(("versions", "expected"), [(1, 45), (3, 135)])
async def test_every_version_is_read_from_a_server_with_pages_of_20(versions: int, expected: int) -> None:
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry) as poller:
        registry.populate(45, versions=versions)
        reading = await poller.poll()
        counts = registry.counted(reset=True)
        again = await poller.poll()

    assert len(live(reading)) == expected
    assert (reading.complete, reading.listed, reading.fault) == (True, True, None)
    assert len(reading.touched) == expected
    assert all(len(artifacts) == 1 for artifacts in reading.artifacts.values())
    pages = -(-expected // 20)
    assert counts == {
        **LISTS,
        "GET registered_models": 3,
        "GET model_versions": pages,
        "GET model_artifacts": pages,
        ARTIFACTS: expected,
    }
    assert registry.counted() == {
        **LISTS,
        "GET registered_models": 3,
        "GET model_versions": pages,
        "GET model_artifacts": pages,
    }
    assert (again.complete, again.touched) == (True, frozenset())
    assert again.known is reading.known


@pytest.mark.parametrize("models", [10, 1000])
async def test_nothing_changed_costs_five_lists(models: int) -> None:
    async with FakeRegistry(limits=ALL) as registry, polling(registry) as poller:
        registry.populate(models)
        await poller.poll()
        registry.counted(reset=True)
        again = await poller.poll()

        assert registry.counted() == LISTS
        assert (again.complete, again.touched, len(live(again))) == (True, frozenset(), models)


async def test_an_empty_registry_is_complete() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        reading = await poller.poll()

    assert (reading.complete, reading.listed, live(reading)) == (True, True, set())


@pytest.mark.parametrize(
    ("versions", "refused"),
    [([V1], {}), ([V1ALPHA3, V1], {}), ([V1ALPHA3], {"GET /api/model_registry/v1/registered_models": 1})],
)
async def test_the_api_version_is_found_out_with_the_first_list(versions: list[str], refused: dict[str, int]) -> None:
    async with FakeRegistry(versions=versions) as registry, polling(registry) as poller:
        registry.populate(2)
        await poller.poll()
        first = registry.counted(reset=True)
        await poller.poll()

        assert first == {**LISTS, ARTIFACTS: 2, **refused}
        assert registry.counted() == LISTS


async def test_a_changed_description_costs_one_more_request() -> None:
    async with FakeRegistry(limits=ALL) as registry, polling(registry) as poller:
        registry.populate(1000)
        await poller.poll()
        registry.counted(reset=True)
        registry.edit(VERSIONS, "7", description="new words")
        version = await poller.poll()
        of_version = registry.counted(reset=True)
        registry.edit(MODELS, "8", description="new words")
        model = await poller.poll()
        of_model = registry.counted(reset=True)

    assert of_version == {**LISTS, ARTIFACTS: 1}
    assert version.touched == {"7"}
    assert version.versions["7"].description == "new words"
    assert of_model == LISTS
    assert model.touched == {"8"}


async def test_a_changed_artifact_is_noticed_without_its_version() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(5, versions=2, artifacts=2)
        await poller.poll()
        registry.counted(reset=True)
        registry.edit("artifacts", "3", uri="oci://elsewhere")
        reading = await poller.poll()
        counts = registry.counted(reset=True)
        await poller.poll()

        assert counts == {**LISTS, ARTIFACTS: 1}
        assert reading.touched == {"2"}
        assert reading.artifacts["2"][0].uri == "oci://elsewhere"
        assert registry.counted() == LISTS


async def test_a_removed_artifact_is_noticed() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(2, artifacts=2)
        await poller.poll()
        registry.counted(reset=True)
        registry.delete("artifacts", "1")
        reading = await poller.poll()

        assert registry.counted() == {**LISTS, ARTIFACTS: 1}
        assert reading.touched == {"1"}
        assert [artifact.id for artifact in reading.artifacts["1"]] == ["2"]


async def test_an_artifact_that_comes_after_its_version_is_found() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(30)
        model = registry.add_model("late")
        version = registry.add_version(model, "v1")
        first = await poller.poll()
        registry.counted(reset=True)
        registry.add_artifact(version, uri="oci://late")
        reading = await poller.poll()
        counts = registry.counted(reset=True)
        await poller.poll()

        assert first.artifacts[version] == ()
        assert [artifact.uri for artifact in reading.artifacts[version]] == ["oci://late"]
        assert reading.touched == {version}
        assert counts[ARTIFACTS] <= 4
        assert registry.counted() == LISTS


async def test_artifacts_of_experiment_runs_are_looked_for_nowhere() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(10)
        await poller.poll()
        registry.counted(reset=True)
        registry.add_artifact(None, name="checkpoint", experimentId="1", experimentRunId="7")
        reading = await poller.poll()

        assert registry.counted() == LISTS
        assert (reading.complete, reading.touched) == (True, frozenset())


@pytest.mark.parametrize("models", [100, 101, 102, 250])
async def test_servers_on_ml_metadata_that_answer_too_much_as_if_it_were_all_are_read_to_the_end(models: int) -> None:
    async with FakeRegistry(limits=ML_METADATA) as registry, polling(registry) as poller:
        registry.populate(models)
        reading = await poller.poll()
        registry.counted(reset=True)
        again = await poller.poll()

        assert (reading.complete, len(live(reading)), len(reading.artifacts)) == (True, models, models)
        assert (again.complete, again.touched) == (True, frozenset())
        pages = -(-models // 100)
        assert registry.counted()["GET registered_models"] == pages


class Counted(asyncio.Semaphore):
    """A semaphore that knows how often it was passed."""

    passed = 0

    async def acquire(self) -> Literal[True]:
        self.passed += 1
        return await super().acquire()


async def test_large_answers_are_held_a_few_at_a_time() -> None:
    large = Counted(2)
    async with FakeRegistry() as registry:
        registry.populate(8)
        for artifact in registry.store.listed("artifacts"):
            registry.edit("artifacts", artifact["id"], description="x" * 2_000_000)
        registry.fail("database", "model_artifacts")  # which would be one answer of all of them
        async with replace(connector(registry), large=large).open(ref_of(registry)) as remote:
            reading = await Polled(RegistryPoller(remote)).poll()

    assert len(reading.artifacts) == 8
    assert large.passed == 8
    assert not large.locked()


async def test_a_page_with_more_bytes_than_are_read_is_asked_for_in_smaller_ones() -> None:
    async with FakeRegistry(limits=ALL) as registry, polling(registry, body_limit=100_000) as poller:
        for number in range(30):
            version = registry.add_version(registry.add_model(f"m-{number}", readme="x" * 6000), "v1")
            registry.add_artifact(version, uri="oci://x")
        reading = await poller.poll()

        assert (reading.complete, len(live(reading))) == (True, 30)


async def test_an_object_with_more_bytes_than_are_read_leaves_the_list_incomplete() -> None:
    async with FakeRegistry(limits=ALL) as registry, polling(registry, body_limit=100_000) as poller:
        registry.populate(3)
        before = await poller.poll()
        registry.edit(MODELS, "2", readme="x" * 200_000)
        reading = await poller.poll()

        assert (reading.complete, live(reading)) == (False, live(before))
        assert reading.fault is not None
        assert reading.fault.kind == "too-large"


async def test_a_list_with_more_items_than_are_read_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_ITEMS", 240)
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry) as poller:
        registry.populate(100)
        reading = await poller.poll()

        assert not reading.complete
        assert 0 < len(live(reading)) <= 100
        assert reading.fault is not None
        assert (reading.fault.kind, "240 items" in reading.fault.reason) == ("too-large", True)


@pytest.mark.parametrize(("bound", "most"), [("MAX_ITEMS", 350), ("MAX_PAGES", 25), ("MAX_BYTES", 100_000)])
async def test_what_is_read_of_a_registry_is_bounded_over_all_of_its_lists(
    bound: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry) as poller:
        registry.populate(100)
        assert (await poller.poll()).complete
        monkeypatch.setattr(paging, bound, most)  # each of the lists alone is well below
        for model in ("1", "2"):
            registry.add_version(model, "new")
        reading = await poller.poll()
        assert reading.complete, "what is read of it after the first poll is less"
        for number in range(200):
            registry.add_version(registry.add_model(f"more-{number}"), "v1")
        registry.counted(reset=True)
        reading = await poller.poll()
        asked = registry.counted()

        assert not reading.complete
        assert reading.fault is not None
        assert reading.fault.kind == "too-large"
        assert f"{most} {bound.removeprefix('MAX_').lower()}" in reading.fault.reason
        assert len(live(reading)) >= 102, "nothing is taken away"
        assert sum(asked.values()) < 100, "the answers of some two hundred are not read, as without a bound"


async def test_objects_that_would_take_more_memory_than_there_is_are_asked_for_in_smaller_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "MAX_ROOM", 100_000)
    async with FakeRegistry(limits=ALL) as registry, polling(registry) as poller:
        registry.populate(200)
        reading = await poller.poll()
        assert (reading.complete, len(live(reading))) == (True, 200)


async def test_eight_registries_with_enormous_answers_fit_into_a_small_container() -> None:
    """Bytes are counted, by the system, in a process of its own; the server makes the answers while it sends them."""
    strings = b'{"items":[{"id":"1","name":"' + b"x" * 1_000_000
    answers = {
        "huge": (64, strings, b"x" * 1_000_000, b'"}],"size":1}'),
        "dense": (15, b'{"items":[{}', b",{}" * 333_333, b'],"size":1}'),
        "wide": (15, '{"items":[{"id":"1","name":"\U0001f600'.encode(), b"x" * 1_000_000, b'"}],"size":1}'),
    }

    async def answer(request: web.Request) -> web.StreamResponse:
        megabytes, head, filling, tail = answers[request.match_info["kind"]]
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            await response.write(head)
            for _ in range(megabytes):
                await response.write(filling)
            await response.write(tail)
        return response

    app = web.Application()
    app.router.add_get("/{kind}/{path:.*}", answer)
    async with TestServer(app) as server:
        for kind in answers:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.normalizer.sources.memory",
                str(server.make_url(f"/{kind}")),
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await process.communicate()
            told = json.loads(output)
            assert told["faults"] == ["too-large"] * 8, kind
            assert told["grown"] < 128 * 1024 * 1024, (kind, told)


async def test_an_artifact_of_no_version_is_looked_for_once() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(10)
        await poller.poll()
        registry.counted(reset=True)
        registry.add_artifact(None, name="of nobody")
        await poller.poll()
        searched = registry.counted(reset=True)
        await poller.poll()

        assert searched == {**LISTS, ARTIFACTS: 10}
        assert registry.counted() == LISTS


async def test_artifacts_of_archived_versions_are_fetched_when_they_are_restored() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(3)
        registry.archive(MODELS, "1")
        registry.archive(VERSIONS, "2")
        first = await poller.poll()
        archived = registry.counted(reset=True)
        registry.restore(MODELS, "1")
        registry.restore(VERSIONS, "2")
        reading = await poller.poll()

        assert archived == {**LISTS, ARTIFACTS: 1}
        assert live(first) == {("model-0003", "v1")}
        assert registry.counted() == {**LISTS, ARTIFACTS: 2}
        assert live(reading) == {("model-0001", "v1"), ("model-0002", "v1"), ("model-0003", "v1")}
        assert reading.touched == {"1", "2"}
        assert set(reading.artifacts) == {"1", "2", "3"}


async def test_records_of_deployments_touch_the_versions_they_are_about() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(3)
        await poller.poll()
        service = registry.add_inference_service("granite", "2", "2", "models")
        deployed = await poller.poll()
        registry.undeploy(service)
        undeployed = await poller.poll()
        again = registry.add_inference_service("granite", "2", "2", "models")
        redeployed = await poller.poll()
        registry.edit("serving_environments", "1", name="others")
        renamed = await poller.poll()
        registry.delete("inference_services", again)
        deleted = await poller.poll()

    polls = (deployed, undeployed, redeployed, renamed, deleted)
    assert [each.touched for each in polls] == [{"2"}] * 5
    namespaces = [[record.namespace for record in each.records.values()] for each in polls]
    assert namespaces == [["models"], [], ["models"], ["others"], []]


async def test_a_deleted_model_leaves_after_being_asked_for() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(3, versions=2)
        await poller.poll()
        registry.counted(reset=True)
        registry.delete(MODELS, "2")
        reading = await poller.poll()
        counts = registry.counted(reset=True)
        await poller.poll()

        assert (reading.complete, reading.fault) == (True, None)
        assert {name for name, _ in live(reading)} == {"model-0001", "model-0003"}
        assert reading.touched == {"3", "4"}
        assert set(reading.artifacts) == {"1", "2", "5", "6"}
        confirmed = {**LISTS, "GET registered_models": 2, "GET model_versions": 2}
        assert counts == {**confirmed, "GET registered_models/{id}": 1, "GET model_versions/{id}": 2}
        assert registry.counted() == LISTS


async def test_requests_run_side_by_side_and_bounded() -> None:
    async with FakeRegistry() as registry, polling(registry, concurrency=4) as poller:
        registry.populate(40)
        registry.fail("slow", "model_versions/*", seconds=0.01)
        await poller.poll()

        assert registry.most_at_once == 4


async def test_a_version_that_someone_speaks_of_is_looked_up() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(2)
        await poller.poll()
        registry.counted(reset=True)
        model = registry.add_model("new")
        version = registry.add_version(model, "v1")
        registry.add_artifact(version, uri="oci://new")
        reading = await poller.look_up(model, version)
        asked = registry.counted(reset=True)
        await poller.look_up(model, version)
        await poller.look_up("99", "99")
        await poller.look_up("99", "99")
        others = registry.counted(reset=True)
        following = await poller.poll()

        assert asked == {"GET registered_models/{id}": 1, "GET model_versions/{id}": 1, ARTIFACTS: 1}
        assert (reading.complete, set(reading.touched), reading.fault) == (False, {version}, None)
        assert ("new", "v1") in live(reading)
        confirmed = {"GET registered_models": 1, "GET model_versions": 1}
        assert others == {"GET registered_models/{id}": 1, "GET model_versions/{id}": 1, **confirmed}
        assert following.complete
        assert following.touched == frozenset()
        assert registry.counted() == LISTS


async def test_others_have_their_turn_between_the_join_and_the_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []
    tell_others = asyncio.Event()

    async def others() -> None:
        await tell_others.wait()
        order.append("others")

    def join(*given: object, **named: object) -> dict[str, RegisteredVersion]:
        order.append("join")
        tell_others.set()
        return {}

    class Told(Sink):
        def changed(self, news: News) -> None:
            order.append("report")

        def listed(self, *, lacking: Fault | None = None) -> None:
            order.append("listed")
            done.set()

        def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
            order.append(f"fault: {fault}")

    done = asyncio.Event()
    monkeypatch.setattr(tables, "join", join)
    async with FakeRegistry(limits=ALL) as registry, asyncio.TaskGroup() as tasks:
        registry.populate(1)
        source = RegistrySource(
            ref_of(registry),
            connector=connector(registry),
            poller=lambda remote, expected: RegistryPoller(remote, expected=expected),
            expected=lambda registry: (),
            request_cards=AsyncMock(),
            on_fault=lambda ref, fault: None,
            interval=60,
            retry=1,
        )
        waiting = tasks.create_task(others())
        following = tasks.create_task(source.run(Told()))
        await done.wait()
        following.cancel()
        await waiting
    assert order == ["join", "others", "report", "listed"]
