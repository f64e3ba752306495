"""A cluster with the documented rights, a pod next to it, and a reader that watches over the feed."""

from collections.abc import AsyncIterator, Callable, Generator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.kustomize import ROOT, render
from tests.deploy.rbac import Permission, granted
from tests.fakes.kubernetes import ProcessCluster, Rule, permitted
from tests.process.pod import LOCATION, NAMESPACE, NORMALIZER, Pod
from tests.process.reader import Reader

TOKEN = "eyJhbGciOiJSUzI1NiJ9.c3lzdGVtOnNlcnZpY2VhY2NvdW50.cGlja2xlcw"
USER = f"system:serviceaccount:{NAMESPACE}:rhdh-rhoai-connector"
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.process)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    for name in ("pod", "other_pod"):
        pod = getattr(item, "funcargs", {}).get(name)
        if report.failed and isinstance(pod, Pod):
            for service in pod.services.values():
                report.sections.append((f"the end of {service.log}", service.text[-4000:]))
    return report


@cache
def own_rules() -> tuple[Rule, ...]:
    """What deploy/rbac grants the connector on OpenShift AI."""
    return rules_of(granted(render(ROOT / "rbac" / "overlays" / "rhoai")))


def rules_of(permissions: Iterable[Permission]) -> tuple[Rule, ...]:
    """The permissions as rules of the cluster."""
    return tuple(
        Rule(api_groups=(p.group,), resources=(p.resource,), verbs=(p.verb,), namespace=p.namespace)
        for p in sorted(permissions)
    )


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that keeps the authority of all clusters."""
    return tmp_path_factory.mktemp("authority")


@pytest.fixture
def resources() -> list[str]:
    """Custom types that the cluster has; tests override it with `parametrize`."""
    return ["inferenceservices", "routes"]


@pytest.fixture
def further_rules() -> tuple[Rule, ...]:
    """What the connector is granted besides; tests override it with `parametrize`."""
    return ()


@pytest.fixture
def asked_in_vain() -> tuple[str, ...]:
    """Resources that the connector may not read and asks for all the same; tests override it with `parametrize`."""
    return ()


@pytest.fixture
async def cluster(
    authority: Path, resources: list[str], further_rules: tuple[Rule, ...], asked_in_vain: tuple[str, ...]
) -> AsyncIterator[ProcessCluster]:
    """An API server with TLS, KServe and Routes; the connector's account has the rights of deploy/rbac."""
    async with ProcessCluster(tls_dir=authority, resources=resources) as cluster:
        rules = (*own_rules(), *further_rules)
        await cluster.grant(TOKEN, USER, rules)
        yield cluster
        used = [a for a in await cluster.used() if a.user == USER and a.resource not in asked_in_vain]
        assert not [access for access in used if not permitted(rules, access)], "rights that are not granted"


MakePod = Callable[..., Pod]


@pytest.fixture
def make_pod(cluster: ProcessCluster, tmp_path: Path) -> MakePod:
    """Makes pods with further variables; each wants an `async with`."""

    def make(**options: Any) -> Pod:
        directory = tmp_path / f"pod-{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        return Pod(cluster=cluster, token=TOKEN, directory=directory, **options)

    return make


def _mount(directory: Path, name: str, text: str) -> None:
    directory.mkdir()
    (directory / name).write_text(text)


@asynccontextmanager
async def pod_with_credentials(
    make_pod: MakePod, mounted: Path, *, name: str, token: str, **variables: str
) -> AsyncIterator[Pod]:
    """A pod whose normalizer has the token of a server of that name in a folder of mounted files, not started yet."""
    _mount(mounted, f"{name}.token", token + "\n")
    async with make_pod() as pod:
        pod.set(NORMALIZER, SERVER_CREDENTIALS_DIR=str(mounted), SOURCE_GONE_GRACE="1s", **variables)
        pod.keep_secret(token)
        yield pod


@pytest.fixture
def variables() -> dict[str, str]:
    """Further variables of the pod; tests override it with `parametrize`."""
    return {}


@pytest.fixture
async def pod(make_pod: MakePod, variables: dict[str, str]) -> AsyncIterator[Pod]:
    """The pod, not started yet."""
    async with make_pod(overrides=variables) as pod:
        yield pod


@pytest.fixture
async def reader(pod: Pod) -> AsyncIterator[Reader]:
    """A reader of the pod's feed, from before its start until the end of the test."""
    async with Reader(pod[LOCATION].url) as reader:
        yield reader
