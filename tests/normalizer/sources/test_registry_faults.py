"""What a registry may do without anything being lost or wrongly believed."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from services.normalizer.normalize.registry_objects import parse_item
from services.normalizer.sources.faults import Inconsistent
from services.normalizer.sources.kubeflow import tables
from services.normalizer.sources.kubeflow.paging import ListReader
from services.normalizer.sources.kubeflow.poller import RegistryPoller
from services.normalizer.sources.refs import SourceRef
from tests.fakes.registry import MODELS, V1, V1ALPHA3, VERSIONS, FakeRegistry, PageLimits
from tests.normalizer.sources.support import Polled, Reading, connector, live, polling, ref_of
from tests.simulation.loop import simulated

EARLIER_LIMITS = PageLimits(default=20, cap=20)
LISTED = {"registered_models", "model_versions", "model_artifacts", "inference_services", "serving_environments"}


async def recovers(registry: FakeRegistry, poller: Polled, expected: set[tuple[str, str]]) -> Reading:
    """Heal the registry: the next poll is complete and right."""
    registry.heal()
    reading = await poller.poll()
    assert (reading.complete, reading.fault) == (True, None)
    assert live(reading) == expected
    return reading


@pytest.mark.parametrize(
    ("fault", "kind", "remedy"),
    [
        ({"kind": "status", "status": 401}, "unauthorized", "KFMR_TOKEN"),
        (
            {"kind": "status", "status": 403},
            "forbidden",
            "RoleBinding in namespace models that gives the role registry-user-public",
        ),
        ({"kind": "status", "status": 404}, "absent", "correct the address, which comes from a test"),
        ({"kind": "status", "status": 500}, "error", "check the database"),
        ({"kind": "status", "status": 503}, "unavailable", "database"),
        ({"kind": "redirect"}, "answer", "login page"),
        ({"kind": "empty"}, "answer", "is not the API"),
        ({"kind": "login"}, "answer", "asks for a login"),
        ({"kind": "truncated"}, "answer", "is not the API"),
        ({"kind": "cut"}, "unreachable", "check that model registry models/public runs"),
        ({"kind": "hang"}, "timeout", "check the pods of model registry"),
    ],
)
@pytest.mark.parametrize("path", ["*", "registered_models", "model_versions"])
@simulated
async def test_what_it_had_stays(fault: dict[str, Any], kind: str, remedy: str, path: str) -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(6)
        before = await poller.poll()
        registry.fail(path=path, **fault)
        during = await poller.poll()

        assert (during.complete, during.listed) == (False, True)
        assert live(during) == live(before)
        assert during.known is before.known
        assert during.fault is not None
        assert during.fault.kind == kind
        assert remedy in during.fault.remedy
        assert during.fault.reason
        await recovers(registry, poller, live(before))


async def test_forbidden_names_role_and_namespace() -> None:
    async with FakeRegistry(tokens=["good"], forbidden=["bad"]) as registry, polling(registry, token="bad") as poller:
        reading = await poller.poll()

    assert reading.fault is not None
    assert "the role registry-user-public to the service account rhdh-rhoai-connector" in reading.fault.remedy
    assert not reading.listed


async def test_a_database_that_is_away_is_no_absence_and_its_address_is_not_quoted() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(3)
        before = await poller.poll()
        registry.fail("database")
        during = await poller.poll()
        looked_up = await poller.look_up("7", "7")

        assert (during.complete, live(during)) == (False, live(before))
        assert live(looked_up) == live(before)
        assert during.fault is not None
        assert (during.fault.kind, "check the database" in during.fault.remedy) == ("error", True)
        assert during.fault.reason.endswith(": 500 Internal Server Error")
        for secret in ("registry-admin", "10.9.8.7", "model-registry-db"):
            assert secret not in f"{during.fault.reason} {during.fault.remedy}"
        await recovers(registry, poller, live(before))


async def test_404_for_objects_of_a_list_that_came_short_is_no_absence_while_the_database_is_away() -> None:
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry) as poller:
        registry.populate(45)
        before = await poller.poll()
        registry.fail("shrinking", "model_versions", count=3)
        registry.fail("status", "model_versions/{id}", status=404)
        requests = iter(range(1000))

        def goes_away(template: str) -> bool:
            return template == "model_versions" and next(requests) >= 3

        registry.fail("database", when=goes_away)
        during = await poller.poll()

        assert not during.complete
        assert live(during) == live(before)
        await recovers(registry, poller, live(before))


@pytest.mark.parametrize("between", [False, True])
async def test_a_rebuilt_database_makes_no_document_of_two_models(between: bool) -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(4, versions=2, prefix="before")
        await poller.poll()
        registry.rebuild()
        registry.populate(3, versions=3, prefix="after")
        if between:
            registry.fail("status", "model_versions", status=500, times=2)
            registry.fail("status", "model_versions/*", status=500, times=4)
        seen = []
        for _ in range(3):
            reading = await poller.poll()
            for model, version in reading.live():
                uris = [artifact.uri for artifact in reading.artifacts.get(version.id, ())]
                seen += [(model.name, version.description, uri) for uri in uris]

        assert len(live(reading)) == 9
        for name, description, uri in seen:
            assert description.endswith(f"of {name}")
            assert name in uri


@pytest.mark.parametrize("bad", ["..", "../../x", "1\r\n2", "a b", "1\r\n", "x" * 200, ".", "%2e%2e"])
async def test_ids_that_go_into_no_path_are_problems_of_their_own(bad: str) -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(2)
        for kind, fields in (
            (MODELS, {"name": "odd"}),
            (VERSIONS, {"name": "odd", "registeredModelId": "1"}),
            ("artifacts", {"uri": "oci://odd"}),
        ):
            registry.add_raw(kind, {"id": bad, **fields})
        registry.add_raw(VERSIONS, {"id": "50", "name": "of an odd model", "registeredModelId": f"9{bad}"})
        reading = await poller.poll()
        again = await poller.poll()

        assert (reading.complete, reading.fault, len(live(reading))) == (True, None, 2)
        assert (again.complete, again.touched) == (True, frozenset())
        assert {problem.object.split()[0] for problem in reading.problems} == {"RegisteredModel", "ModelVersion"}
        assert {path.split()[1].partition("/")[0] for path in registry.counted()} <= LISTED | {""}
        assert not any(".." in path or "admin" in path for path in registry.counted())


async def test_the_token_opens_the_registry() -> None:
    async with FakeRegistry(tokens=["good"]) as registry:
        registry.populate(1)
        async with polling(registry, token="good") as poller:
            assert (await poller.poll()).complete
        async with polling(registry) as poller:
            reading = await poller.poll()
            assert reading.fault is not None
            assert reading.fault.kind == "unauthorized"


async def test_down_and_up_again() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(3)
        before = await poller.poll()
        await registry.down()
        during = await poller.poll()
        await registry.up()

        assert during.fault is not None
        assert during.fault.kind == "unreachable"
        assert live(during) == live(before)
        await recovers(registry, poller, live(before))


async def test_a_wrong_certificate() -> None:
    async with FakeRegistry(tls=True) as registry, polling(registry) as poller:
        registry.populate(3)
        before = await poller.poll()
        await registry.present(wrong_certificate=True)
        during = await poller.poll()
        await registry.present(wrong_certificate=False)

        assert before.complete
        assert during.fault is not None
        assert during.fault.kind == "certificate"
        assert "MODEL_REGISTRY_CA_FILE" in during.fault.remedy
        assert "add 127.0.0.1 to MODEL_REGISTRY_INSECURE" in during.fault.remedy
        await recovers(registry, poller, live(before))


async def test_empty_answers_at_the_start_are_no_empty_registry() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(3)
        registry.fail("empty")
        reading = await poller.poll()

        assert (reading.complete, reading.listed) == (False, False)
        assert len(live(await recovers(registry, poller, {(f"model-000{n}", "v1") for n in (1, 2, 3)}))) == 3


async def test_the_second_page_fails() -> None:
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry) as poller:
        registry.populate(45)
        before = await poller.poll()
        registry.edit(MODELS, "1", description="on the first page")
        registry.edit(MODELS, "45", description="on the last page")
        registry.add_model("new")
        registry.fail("status", "registered_models", status=500, times=2)
        await poller.poll()
        nothing = await poller.poll()
        registry.heal()
        registry.fail("shrinking", "registered_models", count=40)
        during = await poller.poll()

        assert nothing.fault is not None
        assert during.models["1"].description == "on the first page"
        assert not during.complete
        assert live(during) == live(before)
        after = await recovers(registry, poller, live(before))
        assert after.models["45"].description == "on the last page"


@pytest.mark.parametrize("path", ["registered_models", "model_versions", "inference_services"])
async def test_a_list_that_shrinks_between_pages_removes_nothing(path: str) -> None:
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry) as poller:
        registry.populate(45)
        for number in range(1, 46):
            registry.add_inference_service(f"isvc-{number}", str(number), str(number), "models")
        before = await poller.poll()
        registry.fail("shrinking", path, count=3)
        during = await poller.poll()

        assert during.fault is not None
        assert (during.complete, during.fault.kind) == (False, "inconsistent")
        assert live(during) == live(before)
        assert len(during.records) == 45
        await recovers(registry, poller, live(before))


@pytest.mark.parametrize(("total", "complete"), [(None, False), (3, True), (4, False)])
async def test_an_announced_page_that_is_empty_is_a_doubt_unless_a_total_says_otherwise(
    total: int | None, complete: bool
) -> None:
    pages = iter([([{"id": str(number)} for number in (1, 2, 3)], "more"), ([], "")])

    async def answer(_request: web.Request) -> web.Response:
        items, token = next(pages)
        return web.json_response({"items": items, "nextPageToken": token, "size": total or len(items)})

    app = web.Application()
    app.router.add_get("/list", answer)
    async with TestServer(app) as server:
        ref = SourceRef(id="r", kind="registry", url=str(server.make_url("/")).rstrip("/"), origin="a test")
        async with connector().open(ref) as remote:
            read = await ListReader(remote).read("/list", lambda item: item["id"])

    assert read.items == ("1", "2", "3")
    assert (read.error is None) == complete
    if total is None:
        assert isinstance(read.error, Inconsistent)
        assert str(read.error) == f"{ref.url}/list: a page that was announced is empty"


async def test_a_list_that_shrinks_for_good_loses_only_what_is_gone() -> None:
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry) as poller:
        registry.populate(45)
        before = await poller.poll()
        registry.delete(MODELS, "5")
        registry.fail("shrinking", "registered_models", count=1)
        during = await poller.poll()

        assert not during.complete
        assert live(before) - live(during) == {("model-0005", "v1")}
        await recovers(registry, poller, live(during))


async def test_on_the_first_poll_versions_betray_a_model_that_the_list_lacks() -> None:
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry) as poller:
        registry.populate(45)
        registry.fail("shrinking", "registered_models", count=3)
        reading = await poller.poll()

        assert not reading.complete
        assert len(live(reading)) == 45


async def test_after_a_restart_what_was_known_is_asked_for_before_it_is_gone() -> None:
    known = [str(number) for number in range(1, 46)]
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry, expected=known) as poller:
        registry.populate(45)
        registry.delete(MODELS, "45")
        registry.fail("shrinking", "model_versions", count=3)
        reading = await poller.poll()
        asked = registry.counted(reset=True)["GET model_versions/{id}"]
        await recovers(registry, poller, live(reading))

        assert (reading.complete, len(live(reading))) == (False, 44)
        assert asked == 4
        assert "GET model_versions/{id}" not in registry.counted()


async def test_a_name_that_is_not_known() -> None:
    ref = SourceRef(id="gone.invalid", kind="registry", url="http://gone.invalid:8080", origin="MODEL_REGISTRY_URLS")
    async with connector().open(ref) as remote:
        reading = await Polled(RegistryPoller(remote)).poll()

    assert reading.fault is not None
    assert reading.fault.kind == "dns"
    assert "the name gone.invalid is unknown here: check MODEL_REGISTRY_URLS" in reading.fault.remedy


async def test_a_token_that_repeats_ends_a_list_that_is_not_whole() -> None:
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry) as poller:
        registry.populate(65)
        before = await poller.poll()
        registry.counted(reset=True)
        registry.fail("repeating", "registered_models")
        during = await poller.poll()

        assert registry.counted()["GET registered_models"] == 2
        assert not during.complete
        assert live(during) == live(before)
        await recovers(registry, poller, live(before))


async def test_a_last_page_that_names_itself_ends_a_whole_list() -> None:
    async with FakeRegistry(limits=EARLIER_LIMITS) as registry, polling(registry) as poller:
        registry.populate(45)
        registry.fail("echoing")
        reading = await poller.poll()

        assert (reading.complete, len(live(reading))) == (True, 45)


async def test_malformed_items_are_problems_and_the_others_count() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(3)
        for path in ("registered_models", "model_versions", "model_artifacts", "inference_services"):
            registry.fail("malformed", path)
        reading = await poller.poll()

        assert (reading.complete, reading.fault, len(live(reading))) == (True, None, 3)
        assert all(problem.severity == "error" for problem in reading.problems)
        assert registry.counted()["GET model_versions/{id}/artifacts"] == 3
        assert len([problem for problem in reading.problems if problem.object.startswith("RegisteredModel")]) == 6
        registry.heal()
        healed = await poller.poll()
        assert healed.problems == ()


async def test_an_object_that_becomes_malformed_stays_as_it_was() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(2)
        before = await poller.poll()
        registry.store.get(MODELS, "1")["name"] = None
        during = await poller.poll()
        unchanged = await poller.poll()

        assert (during.complete, live(during)) == (True, live(before))
        assert [problem.object for problem in during.problems] == ["RegisteredModel '1' in registry public"]
        assert unchanged.problems == during.problems
        registry.edit(MODELS, "1", name="fixed")
        fixed = await poller.poll()
        assert fixed.problems == ()
        assert ("fixed", "v1") in live(fixed)


async def test_an_object_that_was_not_expected_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = parse_item

    def broken(kind: Any, raw: Any, *, registry: str) -> Any:
        if raw["name"] == "model-0002":
            raise RecursionError("no one thought of that")
        return parse(kind, raw, registry=registry)

    monkeypatch.setattr(tables, "parse_item", broken)
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(3)
        with capture_logs() as logs:
            reading = await poller.poll()
            await poller.poll()

    assert (reading.complete, reading.fault, len(live(reading))) == (True, None, 2)
    assert [problem.message for problem in reading.problems] == ["it cannot be processed: RecursionError"]
    assert [bool(line["exc_info"]) for line in logs if line["log_level"] == "error"] == [True]


async def test_values_of_the_future_lose_nothing() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(3)
        service = registry.add_inference_service("granite", "1", "1", "models")
        registry.fail("unknown")
        reading = await poller.poll()

    assert (reading.complete, len(live(reading)), reading.problems) == (True, 3, ())
    assert len(reading.artifacts["1"]) == 1
    assert service not in reading.records, "what is not known to be deployed is not"


async def test_artifacts_that_cannot_be_fetched_leave_the_others_and_come_later() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(20)
        registry.fail("status", "model_versions/*", status=500, times=1)
        first = await poller.poll()
        second = await poller.poll()

    assert first.fault is not None
    assert (first.complete, len(first.artifacts)) == (True, 19)
    assert (second.fault, len(second.artifacts)) == (None, 20)
    assert len(second.touched) == 1


async def test_a_server_that_fails_for_every_version_is_let_alone() -> None:
    async with FakeRegistry() as registry, polling(registry, concurrency=2) as poller:
        registry.populate(50)
        registry.fail("status", "model_versions/*", status=503)
        reading = await poller.poll()

        assert reading.fault is not None
        assert reading.fault.kind == "unavailable"
        assert registry.counted()["GET model_versions/{id}/artifacts"] <= 5
        await recovers(registry, poller, live(reading))


async def test_a_version_deleted_while_it_is_read() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(3)
        registry.fail("status", "model_versions/*", status=404, times=1)
        during = await poller.poll()

        assert during.fault is not None
        assert during.fault.kind == "inconsistent"
        await recovers(registry, poller, live(during))


async def test_a_registry_replaced_by_one_of_another_generation_is_probed_again() -> None:
    async with FakeRegistry(versions=[V1]) as registry, polling(registry) as poller:
        registry.populate(3)
        before = await poller.poll()
        await registry.down()
        registry._versions = (V1ALPHA3,)
        await registry.up()
        during = await poller.poll()
        after = await poller.poll()

    assert (during.complete, live(during)) == (False, live(before))
    assert (after.complete, after.touched, live(after)) == (True, frozenset(), live(before))


async def test_a_server_in_distress_says_when_to_come_back() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.fail("status", status=503, retry_after=17)
        assert (await poller.poll()).retry_after == 17


async def test_lists_that_fail_before_they_ever_came_leave_the_registry_unsettled() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(2)
        registry.fail("status", "inference_services", status=500)
        first = await poller.poll()
        registry.heal()
        second = await poller.poll()

    assert (first.complete, first.listed, len(live(first))) == (False, False, 2)
    assert (second.complete, second.listed) == (True, True)


async def test_archiving_and_restoring_are_seen_within_a_poll() -> None:
    async with FakeRegistry() as registry, polling(registry) as poller:
        registry.populate(2)
        seen = []
        for kind, action in ((MODELS, "archive"), (MODELS, "restore"), (VERSIONS, "archive"), (VERSIONS, "restore")):
            await poller.poll()
            getattr(registry, action)(kind, "1")
            reading = await poller.poll()
            seen.append((("model-0001", "v1") in live(reading), set(reading.touched)))

    assert seen == [(False, {"1"}), (True, {"1"}), (False, {"1"}), (True, {"1"})]


async def test_a_registry_that_is_not_trusted_is_given_no_token() -> None:
    async with FakeRegistry(tokens=("t0ken",)) as registry:
        ref = replace(ref_of(registry, name="tenant/trap"), trusted=False)
        async with connector(token="t0ken").open(ref) as remote:
            reading = await Polled(RegistryPoller(remote)).poll()
    assert reading.fault is not None
    assert reading.fault.kind == "unauthorized"
