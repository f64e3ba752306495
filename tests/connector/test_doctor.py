"""`connector doctor` names what is broken, and how to repair it."""

import base64
import json
from collections.abc import AsyncIterator
from inspect import isawaitable
from pathlib import Path

import pytest

from services.connector.doctor.report import Finding
from services.storage_rest.stores.families import CARDS_BASE
from tests.connector.broken import NAMESPACE, TOKEN, World
from tests.connector.cases import Case
from tests.connector.server_cases import CASES
from tests.fakes.registry.catalog import FakeCatalog
from tests.fakes.registry.registry import FakeRegistry
from tests.objects import configmap, isvc


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


async def test_where_all_is_well_nothing_is_said(world: World) -> None:
    report = await world.examine()

    assert [f for step in report.steps for f in step.findings if f.verdict in ("fault", "warning")] == []
    assert report.status("warning") == 0
    assert report.summary == "nothing is wrong"
    assert [step.name for step in report.steps] == [
        *("settings", "credentials", "kinds", "rights", "models", "registries", "cache", "hidden", "feed", "backstage")
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_is_broken_is_named_with_its_remedy(world: World, case: Case) -> None:
    spoilt = case.spoil(world)
    if isawaitable(spoilt):
        await spoilt

    report = await world.examine()

    (step,) = [step for step in report.steps if step.name == case.step]
    found = [f for f in step.findings if f.verdict == case.verdict and case.message in f.message]
    assert found, f"not named; found were {step.findings}"
    assert any(case.remedy in f.remedy for f in found), found
    assert report.status() == (1 if report.count("fault") else 0)
    assert TOKEN not in json.dumps(report.as_json())
    assert not [f for each in report.steps for f in each.findings if "the doctor itself failed" in f.message]


async def test_the_namespaces_that_are_watched_are_named_where_models_are_counted(world: World) -> None:
    world.environ["WATCH_NAMESPACES"] = "models"
    world.cluster.apply(isvc("wine", "fraud"))

    report = await world.examine()

    [said] = [f for step in report.steps for f in step.findings if "InferenceService, 1 ready" in f.message]
    assert said.message.endswith("in the namespaces of WATCH_NAMESPACES (models), which are all that is watched")


async def test_an_original_sidecar_is_no_fault(world: World) -> None:
    world.pod.ready["location"] = None

    report = await world.examine()

    [said] = [f for step in report.steps for f in step.findings if "original sidecar" in f.message]
    assert said.verdict == "skipped"
    assert report.status() == 0


async def test_one_missing_binding_is_told_once(world: World) -> None:
    world.allow(set())

    report = await world.examine()

    faults = [(step.name, f.message) for step in report.steps for f in step.findings if f.verdict == "fault"]
    assert [name for name, _ in faults] == ["rights", "rights", "models", "cache"]
    assert [message for _, message in faults if len(message) > 120] == []


async def fault_of_a_registry(world: World) -> Finding:
    """The only fault of the registries, where there is one with this address."""
    world.environ["MODEL_REGISTRY_URLS"] = "https://registry.example.com"
    report = await world.examine()
    [found] = [f for step in report.steps for f in step.findings if step.name == "registries" and f.verdict == "fault"]
    return found


async def test_a_proxy_whose_name_no_one_knows_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.invalid:3128")

    found = await fault_of_a_registry(world)
    assert "cannot connect to the proxy proxy.invalid:3128: " in found.message
    assert "check the proxy proxy.invalid:3128" in found.remedy
    assert found.message.count("registry.example.com") == 2  # its label, and its address


async def test_a_proxy_is_named_where_it_is_in_the_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:1")

    found = await fault_of_a_registry(world)
    assert "cannot connect to the proxy 127.0.0.1:1: connection refused" in found.message
    assert "if registry.example.com is to be reached without it, add the host to NO_PROXY" in found.remedy
    assert "secret" not in found.message + found.remedy


def test_there_are_more_than_thirty_of_them() -> None:
    assert len(CASES) >= 30


async def test_no_registry_is_missed_where_no_cluster_can_be_searched(world: World) -> None:
    del world.environ["token"]
    for name in ("MODEL_REGISTRY_URLS", "MODEL_CATALOG_URL"):
        world.environ.pop(name, None)
    assert "registries" not in [step.name for step in (await world.examine()).steps]


async def test_a_step_that_does_not_end_holds_up_no_other(world: World) -> None:
    world.cluster.fault("hang", times=None, resource="inferenceservices")
    world.timeout = 2.0

    steps = {step.name: step for step in (await world.examine()).steps}

    assert [f.verdict for f in steps["models"].findings] == ["fault"]
    assert {f.verdict for f in steps["cache"].findings} == {"ok"}


async def test_a_server_of_the_newest_version_of_its_api_alone_is_read(world: World) -> None:
    registry, catalog = FakeRegistry(tokens=[TOKEN], versions=("v1",)), FakeCatalog(tokens=[TOKEN], versions=("v1",))
    for server in (registry, catalog):
        await world.enter(server)
    world.environ |= {"MODEL_REGISTRY_URLS": registry.url, "MODEL_CATALOG_URL": catalog.url}
    (step,) = [step for step in (await world.examine()).steps if step.name == "registries"]
    assert [f.verdict for f in step.findings] == ["ok", "ok"], step.findings


@pytest.mark.parametrize(
    ("models", "told"), [(99, "99 registered models"), (1, "1 registered model"), (130, "at least 100")]
)
async def test_models_beyond_the_first_page_of_a_registry_are_not_denied(world: World, models: int, told: str) -> None:
    registry = FakeRegistry(tokens=[TOKEN])
    for number in range(models):
        registry.add_model(f"m{number}")
    await world.enter(registry)
    world.environ |= {"MODEL_REGISTRY_URLS": registry.url}
    (step,) = [step for step in (await world.examine()).steps if step.name == "registries"]
    assert f", with the token: {told} " in step.findings[0].message


async def test_models_and_cards_of_the_cache_are_counted(world: World) -> None:
    cards = {"granite-card": base64.b64encode(b"x").decode(), "iris-card": base64.b64encode(b"y").decode()}
    world.cluster.apply(configmap(f"{CARDS_BASE}-1", NAMESPACE, binary_data=cards))
    (step,) = [step for step in (await world.examine()).steps if step.name == "cache"]
    assert step.findings[0].message.startswith("1 model and 2 model cards in 2 ConfigMaps, ")


async def test_one_process_is_not_asked_for_its_parts(world: World) -> None:
    conditions = [{"name": name, "ok": True, "reason": "", "since": 0} for name in ("feed", "store", "kserve")]
    world.pod.ready["location"] = {"status": "ready", "conditions": conditions}
    world.pod.absent |= {"storage-rest", "rhoai-normalizer"}

    assert (await world.examine()).status("warning") == 0


async def test_outside_a_pod_services_that_do_not_answer_are_no_fault(world: World) -> None:
    world.environ["KUBECONFIG"] = str(world.cluster.kubeconfig(world.directory / "config", namespace=NAMESPACE))
    for name in ("token", "ca.crt", "KUBERNETES_SERVICE_HOST"):
        del world.environ[name]
    world.pod.absent |= world.pod.ready.keys()
    world.environ["KFMR_TOKEN"] = TOKEN

    report = await world.examine()

    assert report.count("fault") == 0, report.as_json()
    (feed,) = [step for step in report.steps if step.name == "feed"]
    assert "kubectl port-forward" in feed.findings[0].remedy


@pytest.mark.parametrize(("source", "verdict"), [("manifests", "skipped"), ("kserve", "fault")])
async def test_no_cluster_is_needed_where_the_connector_that_runs_reads_manifests(
    world: World, source: str, verdict: str
) -> None:
    for name in ("token", "ca.crt", "KUBERNETES_SERVICE_HOST"):
        del world.environ[name]
    world.environ["KFMR_TOKEN"] = TOKEN
    world.pod.source = source

    report = await world.examine()

    (credentials,) = [step for step in report.steps if step.name == "credentials"]
    assert credentials.findings[0].verdict == verdict
    assert report.count("fault") == (verdict == "fault"), report.as_json()


async def test_the_command_prints_for_people_and_for_programs(world: World) -> None:
    status, text = await world.run()
    assert status == 0, text
    assert text.endswith("nothing is wrong\n")
    assert "  ✓ the feed is complete and serves 1 model\n" in text

    world.environ["OPEN_READS"] = "true"
    assert (await world.run())[0] == 0
    assert (await world.run("--fail-on", "warning"))[0] == 1

    world.without("configmaps", "patch")
    status, text = await world.run("--format", "json")
    report = json.loads(text)
    assert status == 1
    assert report["summary"] == "2 faults, 1 warning"
    assert {each["name"] for each in report["steps"] if any(f["verdict"] == "fault" for f in each["findings"])} == {
        *("rights", "cache")
    }
