"""What exists and is not shown: the list of it, the answer for one model, and the lines in the log."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from common.health import Health
from common.http.access import AccessPolicy
from common.http.server import create_app
from common.metrics import Metrics
from common.problems import Problem
from common.status import Explained
from services.normalizer.context import create_context
from services.normalizer.controller import Controller
from services.normalizer.facts import LOCAL, Gone, Missing, Ref, Unusable
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.registry_objects import ModelVersion, RegisteredModel
from services.normalizer.normalize.result import ClusterView
from services.normalizer.normalize.selection import Selection
from services.normalizer.reports import Reporter, add_explanations
from services.normalizer.settings import NormalizerSettings
from services.normalizer.source import News
from tests import objects
from tests.normalizer.bench import REGISTRY, Bench, RegistryScript
from tests.normalizer.cluster import Cluster
from tests.normalizer.memory_storage import MemoryStorage
from tests.normalizer.normalize.registries import parsed
from tests.waiting import eventually

SINCE = "2026-01-02T03:04:05Z"


def ref(name: str) -> Ref:
    return Ref.isvc("local", "models", name)


def not_ready(name: str) -> Deployment:
    obj = objects.not_ready(objects.isvc(name), "it needs 2 GPUs")
    for condition in obj["status"]["conditions"]:
        condition["lastTransitionTime"] = SINCE
    return read_isvc(obj)


@asynccontextmanager
async def controlled(storage: MemoryStorage | None = None) -> AsyncIterator[Controller]:
    controller = Controller(
        create_context(
            settings=NormalizerSettings.load(),
            storage=storage or MemoryStorage(),
            health=Health(),
            metrics=Metrics("test", "0"),
        )
    )
    task = asyncio.create_task(controller.run())
    try:
        yield controller
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def hidden(controller: Controller) -> dict[str, str]:
    """The causes of what is hidden, by object."""
    return {each.object: each.cause for each in controller.reporter.status(NormalizerSettings.load()).hidden}


def says(controller: Controller, text: str) -> bool:
    """Whether a reason of what is hidden has this text."""
    return any(text in each.reason for each in controller.reporter.status(NormalizerSettings.load()).hidden)


def explained(controller: Controller, name: str) -> Explained:
    (found,) = controller.reporter.explain(name).found
    return found


BAD = Problem(
    "object_unreadable", "error", "InferenceService models/m", "spec.predictor is a list", "make it an object"
)


@pytest.mark.parametrize(
    ("fact", "cause", "said", "remedy"),
    [
        (not_ready("m"), "not-ready", "its condition Ready is False: it needs 2 GPUs", "kubectl describe inferences"),
        (
            read_isvc(objects.stopped(objects.isvc("m"))),
            "stopped",
            "it is stopped by the annotation serving.kserve.io/stop",
            "kubectl annotate inferenceservice m -n models serving.kserve.io/stop-",
        ),
        (
            Selection().applied(read_isvc(objects.isvc("m", annotations={"rhdh.modelcatalog.io/ignore": "true"}))),
            "ignored",
            "it is marked with rhdh.modelcatalog.io/ignore",
            "kubectl annotate inferenceservice m -n models rhdh.modelcatalog.io/ignore-",
        ),
        (
            Selection(names=["granite*"]).applied(read_isvc(objects.isvc("m"))),
            "not-selected",
            "its name is not selected by SELECT_NAMES",
            "change that setting",
        ),
        (Unusable(BAD), "unusable", "spec.predictor is a list", "make it an object"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.islower() and " " not in value else "",
)
async def test_a_hidden_deployment_is_listed_and_explained_with_what_shows_it(
    fact: Deployment | Unusable, cause: str, said: str, remedy: str
) -> None:
    async with controlled() as controller:
        sink = controller.intake.open(Cluster())
        sink.changed({ref("m"): fact, ref("n"): read_isvc(objects.isvc("n"))})
        sink.listed()
        await eventually(lambda: hidden(controller) == {"InferenceService models/m": cause})
        for name in ("m", "models/m", "models_m", "InferenceService models/m", "M"):
            found = explained(controller, name)
            assert (found.state, found.cause) == ("hidden", cause)
            assert said in found.reason
            assert remedy in found.remedy
        await eventually(lambda: explained(controller, "n").state == "shown")
        shown = explained(controller, "/models/n/model-catalog.json")
        assert (shown.key, shown.uri, shown.source) == ("models_n", "/models/n/model-catalog.json", "kserve")

        sink.changed({ref("m"): read_isvc(objects.isvc("m"))})
        await eventually(lambda: explained(controller, "m").state == "shown")
        assert hidden(controller) == {}


async def test_since_when_is_what_the_condition_says() -> None:
    async with controlled() as controller:
        sink = controller.intake.open(Cluster())
        sink.changed({ref("m"): not_ready("m")})
        sink.listed()
        await eventually(lambda: hidden(controller))
        since = explained(controller, "m").since
        assert since is not None
        assert since.isoformat() == "2026-01-02T03:04:05+00:00"


async def test_each_change_of_state_is_one_line_in_the_log() -> None:
    with capture_logs() as logs:
        async with controlled() as controller:
            sink = controller.intake.open(Cluster())
            for attempts in (1, 2):
                trying = read_isvc(objects.not_ready(objects.isvc("m"), f"back-off, attempt {attempts}"))
                sink.changed({ref("m"): trying, ref("o"): not_ready("o")})
                sink.listed()
                await eventually(partial(says, controller, f"attempt {attempts}"))
            sink.changed({ref("m"): read_isvc(objects.isvc("m")), ref("o"): Gone()})
            await eventually(lambda: explained(controller, "m").state == "shown" and not hidden(controller))
    told = [line for line in logs if line["event"] in ("model_hidden", "model_no_longer_hidden")]
    of_m = [line for line in told if line["object"] == "InferenceService models/m"]
    assert [(line["event"], line["cause"]) for line in of_m] == [
        ("model_hidden", "not-ready"),
        ("model_no_longer_hidden", "not-ready"),
    ]
    assert of_m[0]["reason"] == "its condition Ready is False: back-off, attempt 1"
    assert of_m[0]["remedy"]


async def test_what_storage_refuses_is_hidden_unless_it_is_shown_as_it_was() -> None:
    storage = MemoryStorage()
    async with controlled(storage) as controller:
        sink = controller.intake.open(Cluster())
        sink.changed({ref("m"): read_isvc(objects.isvc("m"))})
        sink.listed()
        await eventually(lambda: explained(controller, "m").state == "shown")
        storage.refuse = {"models_m": "too large", "models_n": "too large"}
        sink.changed(
            {
                ref("m"): read_isvc(objects.isvc("m", annotations={"modelcatalogbridge.rhdh.io/owner": "else"})),
                ref("n"): read_isvc(objects.isvc("n")),
            }
        )
        await eventually(lambda: hidden(controller) == {"InferenceService models/n": "refused"})
        assert "too large" in explained(controller, "n").reason
        still = explained(controller, "m")
        assert (still.state, "its new form: too large" in still.reason) == ("shown", True)


async def test_what_is_leaving_says_until_when_and_how_to_keep_it() -> None:
    async with controlled() as controller:
        sink = controller.intake.open(Cluster())
        sink.changed({ref(name): read_isvc(objects.isvc(name)) for name in "mn"})
        sink.listed()
        await eventually(lambda: explained(controller, "m").state == "shown")
        sink.changed({ref("m"): Missing()})
        sink.listed()
        await eventually(lambda: explained(controller, "m").state == "leaving")
        found = explained(controller, "m")
        assert (found.cause, found.due is not None) == ("not-listed", True)
        assert "connector removals refuse models_m" in found.remedy


def versions(*live: bool) -> News:
    """What a registry says of versions of one model; of the first one nothing but that it is there."""
    bench = Bench()
    return bench.news(
        REGISTRY,
        models={"1": parsed(RegisteredModel, id="1", name="granite")},
        versions={
            str(number): parsed(
                ModelVersion,
                id=str(number),
                name=f"v{number}",
                registeredModelId="1",
                state="LIVE" if each else "ARCHIVED",
            )
            for number, each in enumerate(live, 1)
        },
        artifacts={str(number): () for number, _ in enumerate(live[1:], 2)},
    )


async def test_versions_say_whether_they_are_archived_or_not_read_to_the_end() -> None:
    async with controlled() as controller:
        registry = controller.intake.open(RegistryScript())
        controller.intake.report_search(LOCAL, "exhaustive", ok=True, reason="")
        registry.changed(versions(True, False, True))
        registry.listed()
        await eventually(lambda: "not-read" in hidden(controller).values())
        assert list(hidden(controller).values()) == ["not-read"]  # what is archived is explained when it is asked for
        found = controller.reporter.explain("granite").found
        assert [each.cause or each.state for each in found] == ["not-read", "archived", "shown"]
        archived = explained(controller, "granite/v2")
        assert archived.reason == "its version v2 is ARCHIVED"
        assert explained(controller, "granite_v2") == archived


async def test_a_deployment_waits_for_the_registry_that_may_describe_it() -> None:
    async with controlled() as controller:
        controller.intake.open(RegistryScript())
        sink = controller.intake.open(Cluster())
        labels = {
            "modelregistry.opendatahub.io/registered-model-id": "1",
            "modelregistry.opendatahub.io/model-version-id": "1",
        }
        sink.changed({ref("m"): read_isvc(objects.isvc("m", labels=labels))})
        sink.listed()
        await eventually(lambda: hidden(controller) == {"InferenceService models/m": "waiting-for-registry"})
        (unread,) = controller.reporter.explain("m").unread
        assert unread.source == "registry:ns/reg"


async def test_a_registry_in_a_namespace_that_is_not_trusted_is_named() -> None:
    async with controlled() as controller:
        sink = controller.intake.open(Cluster())
        sink.listed()
        controller.intake.report_untrusted("registry:x/reg", reason="Service x/reg is not trusted", remedy="trust it")
        sink.changed({ref("m"): read_isvc(objects.isvc("m"))})
        await eventually(lambda: hidden(controller) == {"registry:x/reg": "untrusted-registry"})
        assert explained(controller, "x/reg").remedy == "trust it"
        controller.intake.remove_remote("registry:x/reg")
        sink.changed({ref("n"): read_isvc(objects.isvc("n"))})
        await eventually(lambda: hidden(controller) == {})


async def test_an_unknown_name_gets_those_that_are_like_it() -> None:
    async with controlled() as controller:
        sink = controller.intake.open(Cluster())
        sink.changed({ref("granite"): read_isvc(objects.isvc("granite"))})
        sink.listed()
        await eventually(lambda: explained(controller, "granite").state == "shown")
        _, explanation = await answers("?model=granit", controller.reporter)
        assert (explanation["found"], explanation["near"]) == ([], ["granite"])


async def answers(query: str, explainer: Reporter, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    access = AccessPolicy(token=lambda: "shared")
    app = create_app(name="test", metrics=Metrics("test", "0"), health=Health(), access=access)
    add_explanations(app, explainer)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(f"/explain{query}", headers=headers)
        return answer.status, json.loads(await answer.text())


@pytest.mark.parametrize(("query", "status"), [("?model=m", 200), ("", 400), ("?model=%20", 400)])
async def test_it_is_asked_for_over_http(query: str, status: int) -> None:
    async with controlled() as controller:
        answered, body = await answers(query, controller.reporter)
        assert answered == status
        assert body["model"] == "m" if status == 200 else "/explain?model=NAME" in body["detail"]


async def test_it_is_guarded_as_reads_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.http.access.is_local", lambda _request: False)
    async with controlled() as controller:
        assert (await answers("?model=m", controller.reporter))[0] == 401
        shared = {"Authorization": "Bearer shared"}
        assert (await answers("?model=m", controller.reporter, shared))[0] == 200


async def test_a_problem_that_is_solved_is_reported() -> None:
    with capture_logs() as logs:
        async with controlled() as controller:
            sink = controller.intake.open(Cluster())
            sink.changed({ref("m"): read_isvc(objects.isvc("m", annotations={"rhdh.io/owner": "not an owner!"}))})
            sink.listed()
            await eventually(lambda: explained(controller, "m").problems)
            await eventually(lambda: any(line["event"] == "problem_found" for line in logs))
            sink.changed({ref("m"): read_isvc(objects.isvc("m"))})
            await eventually(lambda: any(line["event"] == "problem_solved" for line in logs))
    found, solved = (
        next(line for line in logs if line["event"] == each) for each in ("problem_found", "problem_solved")
    )
    assert found["problem"] == solved["problem"]
    assert solved["object"] == "InferenceService models/m"


async def test_what_could_not_be_read_is_not_hidden_any_more_when_its_cluster_is_left() -> None:
    async with controlled() as controller:
        away = Cluster()
        away.id = "kserve@away"
        controller.intake.add_cluster("away", ClusterView(name="away"))
        sink = controller.intake.open(away)
        sink.changed({Ref.isvc("away", "models", "m"): Unusable(BAD)})
        sink.listed()
        await eventually(lambda: "unusable" in hidden(controller).values())
        controller.intake.stop_cluster("away", ["kserve@away"])
        controller.intake.remove_sources(["kserve@away"])
        controller.intake.remove_cluster("away")
        await eventually(lambda: not hidden(controller))
