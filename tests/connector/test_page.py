"""The status page names what is broken, with what to do: to someone who has nothing else to look at."""

import asyncio
import html
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from inspect import isawaitable
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from common.http.addresses import Address
from services.connector import assembly
from tests.connector.broken import World
from tests.connector.cases import CASES
from tests.waiting import eventually

SPOILERS = {case.name: case.spoil for case in CASES}


class Shown(NamedTuple):
    """What the page says of a set-up that was broken: words of its first lines, or of any line when these are none."""

    verdict: str
    words: tuple[str, ...]


EXPECTED: dict[str, Shown] = {
    # rights and credentials
    "a-token-that-was-revoked": Shown("something is wrong|Nothing is served", ("401", "Secret")),
    "an-authority-of-another-cluster": Shown("something is wrong|Nothing is served", ("certificate",)),
    "an-api-server-that-is-down": Shown("Nothing is served|something is wrong", ("cannot connect to 127.0.0.1",)),
    "a-cluster-without-kserve": Shown("something is wrong with kserve", ("KServe", "absent")),
    "no-right-to-see-models": Shown("something is wrong with kserve", ("inferenceservices", "forbidden")),
    "no-right-to-write-config-maps": Shown("something is wrong with store", ("configmaps", "403")),
    "a-binding-to-an-account-elsewhere": Shown("something is wrong with kserve", ("inferenceservices", "forbidden")),
    "no-right-to-read-the-cache": Shown("Nothing is served", ("configmaps", "forbidden")),
    # registries
    "a-registry-that-does-not-know-the-token": Shown("something is wrong with registry:127.0.0.1", ("401", "token")),
    "a-registry-that-forbids": Shown("something is wrong with registry:127.0.0.1", ("403", "RoleBinding")),
    "a-registry-that-is-down": Shown("something is wrong with registry:127.0.0.1", ("check that model registry",)),
    "a-registry-without-its-database": Shown("something is wrong with registry:127.0.0.1", ("503", "database")),
    "a-registry-of-an-unknown-authority": Shown("something is wrong with", ("certificate", "MODEL_REGISTRY_CA_FILE")),
    "a-registry-behind-another-path": Shown("something is wrong with registry:127.0.0.1", ("404", "no model registry")),
    "a-registry-whose-name-no-one-knows": Shown("something is wrong with", ("registry.invalid", "MODEL_REGISTRY_URLS")),
    "a-wrong-mr-route": Shown("something is wrong with MR_ROUTE", ("there is no such Route", "namespace:name")),
    "a-registry-where-anybody-may-make-one": Shown("", ("squatter/registry", "MODEL_REGISTRY_NAMESPACES")),
    # models
    "nothing-deployed": Shown("", ("is about to leave|No model is served",)),
    "a-model-that-was-stopped": Shown("", ("models/wine stopped it is stopped", "serving.kserve.io/stop-")),
    "a-model-that-is-not-ready": Shown("", ("models/wine not-ready its condition", "kubectl describe")),
    # settings
    "no-guard-against-removals": Shown("", ("REMOVAL_GUARD off",)),
    "reads-that-are-open": Shown("", ("OPEN_READS true",)),
    "certificates-that-are-not-verified": Shown("", ("MODEL_REGISTRY_INSECURE registry.example.com",)),
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


@asynccontextmanager
async def running(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Run the connector in the world; yields where its page is."""
    for name in ("PATH", "HOME", "TMPDIR"):
        world.environ.setdefault(name, os.environ.get(name, ""))
    for name in set(os.environ) - world.environ.keys():
        monkeypatch.delenv(name)
    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)
    told: list[str] = []
    stop = asyncio.Event()
    settings = assembly.load_settings(registries=(), catalogs=(), cluster=True, state=None)
    plan = assembly.RunOptions(addresses=[Address("127.0.0.1", 0)], cluster=True)
    task = asyncio.create_task(assembly.run(plan, settings, stop, tell=told.append))
    try:
        await eventually(lambda: told or task.done(), what="it listens")
        if task.done():
            task.result()
        yield told[0].split("/list")[0]
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)


def text_of(page: str) -> str:
    """Return what a person reads on the page, on one line."""
    body = page.partition("<body>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.mark.parametrize("name", EXPECTED)
async def test_the_page_names_the_cause(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    spoilt = SPOILERS[name](world)
    if isawaitable(spoilt):
        await spoilt
    expected = EXPECTED[name]

    async with running(world, monkeypatch) as url, aiohttp.ClientSession(url) as http:

        async def named() -> bool:
            async with http.get("/") as answer:
                text = text_of(await answer.text())
            assert re.search(expected.verdict, text), text
            for words in expected.words:
                assert re.search(words, text), (words, text)
            return True

        await eventually(named, interval=0.2, what=name)


async def test_where_all_is_well_the_page_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(world, monkeypatch) as url, aiohttp.ClientSession(url) as http:

        async def well() -> bool:
            async with http.get("/") as answer:
                text = text_of(await answer.text())
            assert "All is well: 1 model is served" in text, text
            return True

        await eventually(well, interval=0.2, what="all is well")
