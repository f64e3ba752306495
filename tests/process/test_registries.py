"""Registered models and their cards, from a registry and a catalog over HTTPS, and processes that are killed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.kubernetes import ProcessCluster
from tests.fakes.registry import MODELS, ProcessRegistry
from tests.objects import isvc
from tests.process.conftest import MakePod
from tests.process.pod import LOCATION, NAMES, NORMALIZER, STORAGE, Pod, isvc_uri
from tests.process.reader import Reader
from tests.waiting import eventually

REGISTRY_TOKEN = "sha256~registry-only"
LISTS = ("/list", "/api/kserve-kubeflow-connector/list", "/catalog-info.yaml")
"""What readers ask first, each for the whole."""


def version_uri(model: str, version: str = "v1") -> str:
    """The path under which a registered version is served."""
    return f"/{model}/{version}/model-catalog.json"


def named(count: int, versions: int = 1) -> list[str]:
    """The URIs of what `populate` registers."""
    return [version_uri(f"model-{m:04}", f"v{v}") for m in range(1, count + 1) for v in range(1, versions + 1)]


@pytest.fixture
async def fakes() -> AsyncIterator[ProcessRegistry]:
    """A registry that cuts pages of twenty, and a catalog; both want a token of their own."""
    async with ProcessRegistry(tls=True, tokens=[REGISTRY_TOKEN], page_size=20) as fakes:
        yield fakes


@pytest.fixture
def settings(fakes: ProcessRegistry, tmp_path: Path) -> dict[str, str]:
    """The variables by which the normalizer finds both.

    Processes that are killed, and TLS, are in no simulation (`tests/simulation/test_registries.py`), so time is real
    here, and polls are frequent. No test relies on how long anything takes.
    """
    authority = tmp_path / "registry-ca.pem"
    authority.write_text(fakes.ca_pem)
    return {
        "MODEL_REGISTRY_URLS": fakes.url,
        "MODEL_CATALOG_URL": fakes.catalog_url,
        "MODEL_REGISTRY_CA_FILE": str(authority),
        "KFMR_TOKEN": REGISTRY_TOKEN + "\r\n",
        "POLLING_INTERVAL": "500ms",
        "MODEL_CARD_REFRESH": "1s",
        "SOURCE_GONE_GRACE": "2s",
    }


@pytest.fixture
async def pod(make_pod: MakePod, settings: dict[str, str]) -> AsyncIterator[Pod]:
    async with make_pod() as pod:
        pod.set(NORMALIZER, **settings)
        pod.keep_secret(REGISTRY_TOKEN)
        yield pod


@pytest.mark.parametrize("store", ["ConfigMap", "File"])
async def test_readers_that_wait_are_reported_for_what_why_and_until_when(
    make_pod: MakePod, cluster: ProcessCluster, tmp_path: Path, store: str
) -> None:
    await cluster.apply(isvc("iris"))
    async with make_pod() as pod:
        pod.set(STORAGE, STORAGE_TYPE=store, STATE_DIR=str(tmp_path / "state"))
        pod.set(NORMALIZER, MODEL_REGISTRY_URLS="public=http://127.0.0.1:9", FIRST_SYNC_GRACE="1h")
        await pod.start(ready=False)

        async def told() -> bool:
            answers = [await pod.get(LOCATION, path) for path in LISTS]
            assert [answer.status for answer in answers] == [503, 503, 503]
            problems = [answer.json() for answer in answers]
            assert [each["source"] for each in problems[0]["awaited"]] == ["registry:public"]
            [awaited] = problems[0]["awaited"]
            assert awaited["reason"].startswith("unreachable: ")
            end = datetime.fromisoformat(awaited["until"])
            assert timedelta(minutes=50) < end - datetime.now(UTC) < timedelta(minutes=61)
            for problem in problems:
                assert problem["awaited"] == [awaited]
                assert f"registry:public until {awaited['until']} at the latest (unreachable" in problem["detail"]
            assert "registry:public until" in (await pod.failing(LOCATION))["feed"]
            return True

        await eventually(told, what="the reason of the 503")


async def test_a_setting_that_cannot_be_used_ends_nothing_and_is_a_condition(
    make_pod: MakePod, cluster: ProcessCluster
) -> None:
    await cluster.apply(isvc("iris"))
    async with make_pod() as pod:
        pod.keep_secret("pass-of-the-registry")
        pod.set(
            NORMALIZER, MODEL_REGISTRY_URLS="htps://me:pass-of-the-registry@registry", NOT_READY_GRACE="two minutes"
        )
        pod.set(STORAGE, SHARD_BUDGET="12")
        pod.set(LOCATION, CONNECTOR_ID="a/b")
        await pod.start(ready=False)
        await pod.serving(isvc_uri("iris"))
        failing = {name: await pod.failing(name) for name in NAMES}
        assert {name: sorted(conditions) for name, conditions in failing.items()} == {
            NORMALIZER: ["MODEL_REGISTRY_URLS", "NOT_READY_GRACE"],
            STORAGE: ["SHARD_BUDGET"],
            LOCATION: ["CONNECTOR_ID"],
        }
        assert failing[NORMALIZER]["NOT_READY_GRACE"] == (
            "NOT_READY_GRACE is 'two minutes': expected a duration such as 90s, 2m30s or 1h; 120 is used instead: "
            "correct or remove NOT_READY_GRACE"
        )
        assert (await pod.get(LOCATION, "/api/kserve-kubeflow-connector/list")).status == 200
        for name in NAMES:
            warnings = [line for line in pod[name].text.splitlines() if "setting_unusable" in line]
            assert len(warnings) == len(failing[name])


async def polled(fakes: ProcessRegistry, times: int) -> dict[str, int]:
    """Wait for some more polls; return the requests meanwhile."""
    await fakes.registry("counted", reset=True)

    async def enough() -> bool:
        return int((await fakes.registry("counted")).get("GET registered_models", 0)) >= times

    await eventually(enough, what=f"{times} polls")
    return dict(await fakes.registry("counted"))


@pytest.mark.parametrize("versions", [1, 3])
async def test_every_page_is_read(pod: Pod, fakes: ProcessRegistry, reader: Reader, versions: int) -> None:
    await fakes.registry("populate", 45, versions=versions)
    await pod.start()

    await pod.serving(*named(45, versions))
    await reader.round()


async def answered(pod: Pod, path: str, text: str) -> bool:
    answer = await pod.get(LOCATION, f"{path}&raw=true")
    return answer.status == 200 and answer.body.decode() == text


async def test_cards_are_edited_and_survive_every_restart(pod: Pod, fakes: ProcessRegistry, reader: Reader) -> None:
    await fakes.registry("populate", 2)
    await fakes.catalog("put_card", "curated", "example/model-0001", "# One")
    await pod.start()
    document = await pod.shows(named(1)[0], lambda d: "?key=" in d["models"][0]["annotations"]["TechDocs"])
    card = document["models"][0]["annotations"]["TechDocs"].removeprefix("http://localhost:9090")
    await eventually(lambda: answered(pod, card, "# One"), what="the card")

    await fakes.catalog("put_card", "curated", "example/model-0001", "# One, edited")
    await eventually(lambda: answered(pod, card, "# One, edited"), what="the edited card")
    await eventually(lambda: pod.has_stored("# One, edited"), what="the edited card in the cache")

    await fakes.catalog("down")
    await pod.kill()
    await pod.start(*NAMES, ready=False)
    await eventually(lambda: answered(pod, card, "# One, edited"), what="the card after a restart")
    await polled(fakes, 2)
    await pod.restart_unready(STORAGE, LOCATION)
    await eventually(lambda: answered(pod, card, "# One, edited"), what="the card after another")


async def test_the_card_of_a_model_that_a_new_dashboard_registered(pod: Pod, fakes: ProcessRegistry) -> None:
    await fakes.registry("populate", 1, grouped=False)
    await fakes.catalog("put_card", "curated", "example/model-0001", "# One")
    await pod.start()
    document = await pod.shows(named(1)[0], lambda d: "TechDocs" in d["models"][0]["annotations"])
    card = document["models"][0]["annotations"]["TechDocs"].removeprefix("http://localhost:9090")
    assert card == "/modelcard?key=curatedexample%2Fmodel-0001"
    await eventually(lambda: answered(pod, card, "# One"), what="the card")


async def test_a_deployments_card_without_any_registry(
    pod: Pod, fakes: ProcessRegistry, cluster: ProcessCluster
) -> None:
    await fakes.catalog("put_card", "curated", "example/granite", "# Granite")
    annotations = {"rhdh.io/catalog-source": "curated", "rhdh.io/catalog-model": "example/granite"}
    await cluster.apply(isvc("granite", annotations=annotations))
    pod.set(NORMALIZER, MODEL_REGISTRY_URLS="")
    await pod.start()
    document = await pod.shows(isvc_uri("granite"), lambda d: "TechDocs" in d["models"][0]["annotations"])
    card = document["models"][0]["annotations"]["TechDocs"].removeprefix("http://localhost:9090")
    assert card == "/modelcard?key=curatedexample%2Fgranite"
    await eventually(lambda: answered(pod, card, "# Granite"), what="the card")

    for text in ('"modelCardKey":"curatedexample/granite"', "# Granite"):
        await eventually(partial(pod.has_stored, text), what=f"{text} in the cache")
    await fakes.catalog("down")
    await pod.kill()
    await pod.start(*NAMES, ready=False)
    await pod.alive(*NAMES)
    await cluster.apply(isvc("granite", annotations={**annotations, "rhdh.io/description": "Edited."}))
    document = await pod.shows(isvc_uri("granite"), lambda d: d["models"][0]["description"].startswith("Edited."))
    assert document["models"][0]["annotations"]["TechDocs"].endswith(card), "rendered again without the catalog"
    await eventually(lambda: answered(pod, card, "# Granite"), what="the card after a restart")


async def says_why(pod: Pod, word: str) -> None:
    """Wait until the normalizer says that a registry cannot be read, and why."""

    async def said() -> bool:
        reasons = [reason for name, reason in (await pod.failing(NORMALIZER)).items() if name.startswith("registry:")]
        assert len(reasons) == 1, reasons
        assert reasons[0].startswith(f"{word}: "), reasons
        return True

    await eventually(said, what=f"the registry is said to be {word}")


async def test_a_registry_is_down_or_presents_another_certificate(
    pod: Pod, fakes: ProcessRegistry, reader: Reader
) -> None:
    await fakes.registry("populate", 12)
    await pod.start()
    await pod.serving(*named(12))

    await fakes.registry("down")
    await says_why(pod, "unreachable")
    await pod.restart_unready(NORMALIZER)
    await says_why(pod, "unreachable")
    await reader.round()
    await pod.serving(*named(12))

    await fakes.registry("present", wrong_certificate=True)
    await says_why(pod, "certificate")
    await pod.serving(*named(12))

    await fakes.registry("present", wrong_certificate=False)
    await pod.ready()
    await fakes.registry("edit", MODELS, "1", description="Here again.")
    await pod.shows(named(1)[0], lambda d: d["models"][0]["description"].startswith("Here again."))


async def test_a_registry_that_is_configured_no_more(pod: Pod, fakes: ProcessRegistry, cluster: ProcessCluster) -> None:
    await fakes.registry("populate", 12)
    await cluster.apply(isvc("iris"))
    await pod.start()
    await pod.serving(*named(12), isvc_uri("iris"))

    await pod[NORMALIZER].stop()
    pod.set(NORMALIZER, MODEL_REGISTRY_URLS="")
    await pod[NORMALIZER].start()
    await pod.serving(isvc_uri("iris"))
