"""Servers of the OpenAI API that settings name, over HTTP: what is shown of them, and what takes nothing away."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from common.faults import Fault, kind_of
from common.metrics import Metrics
from common.secrets import MountedCredentials
from common.trust import trust_also
from services.normalizer.facts import Ref
from services.normalizer.normalize.answers import MOST_MODELS, read_model_list, server_deployment
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.document import normalize_deployment
from services.normalizer.normalize.result import Defaults
from services.normalizer.source import News
from services.normalizer.sources import openai_servers
from services.normalizer.sources.http import Connector, Remote, SourceMetrics
from services.normalizer.sources.openai_servers import OpenAiSource, server_refs
from tests.fakes.openai import MODELS, FakeOpenAi

KEY = "sk-of-the-gateway"


class Told:
    """A sink that keeps what it was told last."""

    def __init__(self) -> None:
        self.deployment: Deployment | None = None
        self.faults: list[Fault | None] = []
        self.looks = 0
        self.changes = 0

    def changed(self, news: News) -> None:
        [(ref, fact)] = news.items()
        assert str(ref) == "openai:local:/team"
        assert Ref.parse(str(ref)) == ref
        assert isinstance(fact, Deployment)
        self.deployment, self.changes = fact, self.changes + 1

    def listed(self, *, lacking: Fault | None = None) -> None:
        self.looks += 1

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        self.faults.append(fault)

    @property
    def remedy(self) -> str:
        """What helps against the last fault."""
        return next(fault.remedy for fault in reversed(self.faults) if fault is not None)

    @property
    def names(self) -> tuple[str, ...]:
        assert self.deployment is not None
        return self.deployment.names


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Follower:
    """One source that is asked to look by the test."""

    def __init__(self, source: OpenAiSource, remote: Remote, metrics: Metrics, clock: Clock) -> None:
        self.metrics = metrics
        self.told = Told()
        self.clock = clock
        self._look = partial(source._look, remote, self.told)

    async def look(self) -> float:
        return await self._look()


@asynccontextmanager
async def following(url: str, folder: Path | None = None) -> AsyncIterator[Follower]:
    metrics = Metrics("test", "0")
    connector = Connector(
        token=lambda: "the service account's, which is no one else's",
        ssl=trust_also([]),
        metrics=metrics.shared(SourceMetrics),
        credentials=MountedCredentials(folder),
        timeout=5,
    )
    [ref] = server_refs([f"team={url}"])
    source = OpenAiSource(ref, connector=connector, interval=60, hold=3600)
    assert source.id == "openai:team"
    clock = Clock()
    with patch.object(openai_servers, "loop_time", clock):
        async with connector.open(ref) as remote:
            yield Follower(source, remote, metrics, clock)


@pytest.fixture
async def gateway() -> AsyncIterator[FakeOpenAi]:
    async with FakeOpenAi("granite-3.1-8b", "llama-3", "openai/*") as gateway:
        yield gateway


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
async def test_what_it_lists_is_one_entry_with_all_names(gateway: FakeOpenAi, path: str) -> None:
    async with following(gateway.url + path) as follower:
        await follower.look()
    told = follower.told
    assert (told.names, told.looks) == (("granite-3.1-8b", "llama-3"), 1)
    assert told.deployment is not None
    normalized = normalize_deployment(told.deployment, cluster="local", source="openai:team", defaults=Defaults())
    [model] = normalized.document.models
    server = normalized.document.model_server
    assert normalized.segments == ("openai", "team")
    assert (model.name, model.annotations["rhdh.modelcatalog.io/model-name"]) == ("team", "granite-3.1-8b")
    assert model.description == "Server of the OpenAI API with 2 models: granite-3.1-8b, llama-3."
    assert server is not None
    assert server.api is not None
    assert (server.name, server.api.url, server.authentication) == ("team", gateway.url, False)
    assert normalized.details.names == ("granite-3.1-8b", "llama-3")
    assert (normalized.details.server_type, normalized.details.kind) == ("openai-v1", "OpenAIServer")
    assert not normalized.problems


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 500}, "error"),
        ({"kind": "status", "status": 503}, "unavailable"),
        ({"kind": "status", "status": 429, "retry_after": 9}, "unavailable"),
        ({"kind": "status", "status": 401}, "unauthorized"),
        ({"kind": "status", "status": 403}, "forbidden"),
        ({"kind": "status", "status": 404}, "absent"),
        ({"kind": "empty"}, "answer"),
        ({"kind": "login"}, "answer"),
        ({"kind": "truncated"}, "answer"),
        ({"kind": "cut"}, "unreachable"),
        ({"kind": "shrinking", "count": 3}, "answer"),
    ],
)
async def test_a_server_that_cannot_be_read_keeps_its_entry(
    gateway: FakeOpenAi, fault: Mapping[str, Any], kind: str
) -> None:
    async with following(gateway.url) as follower:
        await follower.look()
        gateway.fail(path=MODELS, **fault)
        pause = await follower.look()
        told = follower.told
        assert (told.looks, told.changes) == (1, 1)
        assert kind_of(told.faults[-1]) == kind
        assert told.remedy
        assert pause >= fault.get("retry_after", 0)

        gateway.heal()
        await follower.look()
        assert (told.looks, told.changes, told.faults[-1]) == (2, 1, None)


async def test_a_name_that_a_list_lacks_stays_for_the_hold(gateway: FakeOpenAi) -> None:
    async with following(gateway.url) as follower:
        await follower.look()
        gateway.models = ["llama-3", "qwen"]
        follower.clock.now = 3600
        await follower.look()
        assert list(follower.told.names) == ["llama-3", "qwen", "granite-3.1-8b"]

        follower.clock.now = 3601
        await follower.look()
        assert list(follower.told.names) == ["llama-3", "qwen"]


async def test_its_own_credentials_are_sent_and_read_again(gateway: FakeOpenAi, tmp_path: Path) -> None:
    gateway.tokens = {KEY}
    async with following(gateway.url, tmp_path) as follower:
        await follower.look()
        assert follower.told.remedy.startswith("OpenAI-compatible server team does not accept requests without")
        assert "team.token" in follower.told.remedy
        (tmp_path / "team.token").write_text(f"{KEY}\n")
        await follower.look()
        assert follower.told.deployment is not None
        assert follower.told.deployment.stated.asks_authentication is True


def test_of_hundreds_the_first_are_shown_and_that_is_reported() -> None:
    names = [f"model-{number}" for number in range(340)]
    deployment = server_deployment("team", url="https://gateway.example.com", models=names, authentication=True)
    assert deployment.names == tuple(names[:MOST_MODELS])
    [problem] = deployment.problems
    assert problem.object == "OpenAIServer team"
    assert problem.message == "it lists 340 models: the first 50 are shown"


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ('{"object": "list", "data": [{"id": "a"}, {"id": "b"}, {"id": "a"}]}', ("a", "b")),
        ('[{"id": "a"}]', ("a",)),
        ('{"object": "list", "data": null}', ()),
        ('{"object": "list", "data": [null, 1, {"id": 7}, {"id": ""}, {"name": "b"}]}', ("7",)),
        ('{"data": {"id": "a"}}', None),
        ("{}", None),
        ("null", None),
        ('"models"', None),
    ],
)
def test_lists_of_any_shape(answer: str, names: tuple[str, ...] | None) -> None:
    assert read_model_list(json.loads(answer)) == names


def test_an_address_inside_the_cluster_is_reported_as_one() -> None:
    deployment = server_deployment("team", url="http://vllm.ml.svc:8000/v1", models=["a"], authentication=False)
    assert deployment.addresses.internal == "http://vllm.ml.svc:8000"
    assert not deployment.addresses.external


def test_of_a_name_that_is_there_twice_the_first_counts() -> None:
    [first, second] = server_refs(["b=http://one", "a=http://two", "b=http://three"], insecure=["two"])
    assert [(ref.source, ref.url, ref.verify) for ref in (first, second)] == [
        ("openai:a", "http://two", False),
        ("openai:b", "http://one", True),
    ]


async def test_requests_are_counted_under_the_name_of_the_condition(gateway: FakeOpenAi) -> None:
    async with following(gateway.url) as follower:
        await follower.look()
        gateway.fail("status", status=500)
        await follower.look()
        counted = follower.metrics.registry.get_sample_value
        for code, count in (("200", 1), ("500", 1)):
            labels = {"source": "openai:team", "code": code}
            assert counted("rhoai_connector_source_requests_total", labels) == count
        assert counted("rhoai_connector_source_poll_seconds_count", {"source": "openai:team"}) == 2
