"""`connector doctor` with several clusters: each by itself, named, with remedies in the words of CLUSTERS_FILE."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from inspect import isawaitable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from services.connector.doctor.collecting import collect
from services.connector.doctor.examination import examine
from services.connector.doctor.report import Finding, Report, Step
from services.connector.doctor.tracing import trace
from tests.connector.broken import NAMESPACE, TOKEN, World, expired
from tests.deploy.kustomize import ROOT, render
from tests.deploy.rbac import granted
from tests.fakes.kubernetes import FakeCluster, Rule
from tests.fakes.kubernetes.certificates import Certificates
from tests.fakes.registry.registry import FakeRegistry
from tests.objects import isvc, service

CANARY = "canary-of"


class Clusters:
    """A world whose file names its own cluster, `hub`, and two more, in which all is well."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clusters: dict[str, FakeCluster] = {"hub": world.cluster}
        self.entries: dict[str, dict[str, Any]] = {"hub": {"name": "hub"}}
        self.more: dict[str, Any] = {}
        world.environ["CLUSTERS_FILE"] = str(self.file)

    @property
    def file(self) -> Path:
        """CLUSTERS_FILE."""
        return self.world.directory / "clusters.yaml"

    def token_file(self, name: str) -> Path:
        """The file with the token of a cluster."""
        return self.world.directory / f"{name}.token"

    async def add(self, name: str) -> FakeCluster:
        """Add a cluster with one model, and the account of deploy/clusters/account."""
        cluster = FakeCluster(tls=True, token=f"{CANARY}-{name}-admin")
        await self.world.enter(cluster)
        self.clusters[name] = cluster
        token = f"{CANARY}-{name}"
        self.token_file(name).write_text(token)
        (self.world.directory / f"{name}.crt").write_text(cluster.ca_pem)
        self.allow(name)
        cluster.apply(isvc(f"{name}-model"))
        self.entries[name] = {"name": name, "url": cluster.url, "tokenFile": f"{name}.token", "caFile": f"{name}.crt"}
        return cluster

    def allow(self, name: str, *, nothing: bool = False) -> None:
        """Let the account of a cluster read what it is to read, or nothing."""
        rights = set() if nothing else granted(render(ROOT / "clusters/account"))
        rules = [
            Rule(api_groups=(p.group,), resources=(p.resource,), verbs=(p.verb,), namespace=p.namespace)
            for p in sorted(rights)
        ]
        account = "system:serviceaccount:ai-rhdh:rhdh-rhoai-connector"
        self.clusters[name].grant(f"{CANARY}-{name}", account, rules)

    def write(self) -> None:
        """Write the file."""
        if not self.file.exists():
            self.file.write_text(yaml.safe_dump({"clusters": list(self.entries.values()), **self.more}))

    async def examine(self) -> Report:
        """Return what the doctor finds."""
        self.write()
        return await self.world.examine()


@pytest.fixture
async def clusters(tmp_path: Path) -> AsyncIterator[Clusters]:
    async with World(tmp_path) as world:
        clusters = Clusters(world)
        await clusters.add("prod")
        await clusters.add("stage")
        yield clusters


def found(report: Report, verdict: str, cluster: str, step: str) -> list[Finding]:
    """Return the findings with a verdict of a step of a cluster."""
    steps = [each for each in report.steps if (each.cluster, each.name) == (cluster, step)]
    return [finding for each in steps for finding in each.findings if finding.verdict == verdict]


async def test_where_all_is_well_each_cluster_is_reported_below_its_name(clusters: Clusters) -> None:
    report = await clusters.examine()

    bad = [(s.cluster, f.message) for s in report.steps for f in s.findings if f.verdict in ("fault", "warning")]
    none = "no model registry was found: models are shown with the data of their InferenceServices"
    assert sorted(bad) == [("prod", none), ("stage", none)]
    lines = list(report.lines())
    assert [line for line in lines if line.startswith("Cluster ")] == [
        f"Cluster {name}" for name in dict.fromkeys(step.cluster for step in report.steps if step.cluster)
    ]
    for name in clusters.entries:
        assert [step.name for step in report.steps if step.cluster == name] == [
            *("credentials", "kinds", "rights", "models", "registries")
        ]
        assert "1 InferenceService, 1 ready to be shown" in str(found(report, "ok", name, "models"))
    (step,) = [step for step in report.steps if step.name == "clusters"]
    assert step.findings[0].message == f"3 clusters in CLUSTERS_FILE {clusters.file}: hub, prod, stage"
    assert {step["cluster"] for step in report.as_json()["steps"]} == {"", "hub", "prod", "stage"}
    assert {f.verdict for step in report.steps if step.name == "cache" for f in step.findings} == {"ok"}


class Case(NamedTuple):
    """A way to break one of three clusters, and what must be said about it."""

    spoil: Callable[[Clusters], Any]
    step: str
    message: str
    remedy: str
    cluster: str = "stage"
    verdict: str = "fault"


def replaced(**fields: Any) -> Callable[[Clusters], None]:
    """Give the entry of `stage` other fields; None takes one out."""

    def spoil(clusters: Clusters) -> None:
        given = {**clusters.entries["stage"], **fields}
        clusters.entries["stage"] = {name: value for name, value in given.items() if value is not None}

    return spoil


def of_kubeconfig(context: str | None = None, text: str | None = None) -> Callable[[Clusters], None]:
    """Reach `stage` by a kubeconfig."""

    def spoil(clusters: Clusters) -> None:
        path = clusters.world.directory / "stage.kubeconfig"
        if text is None:
            clusters.clusters["stage"].kubeconfig(path, namespace="default")
        elif text:
            path.write_text(text)
        entry = {"name": "stage", "kubeconfig": "stage.kubeconfig"}
        clusters.entries["stage"] = entry | ({"context": context} if context else {})

    return spoil


def expire(clusters: Clusters) -> None:
    clusters.token_file("stage").write_text(expired())


def distrust(clusters: Clusters) -> None:
    (clusters.world.directory / "stage.crt").write_text(Certificates.create().ca)


def hang(clusters: Clusters) -> None:
    clusters.clusters["stage"].fault("hang", times=None)
    clusters.world.timeout = 3.0


def register(clusters: Clusters, *, url: str = "", namespace: str = "rhoai-model-registries") -> None:
    labels = {"component": "model-registry"}
    found = service("registry", namespace, ports={"https-api": 8443}, labels=labels)
    if url:
        address = url.removeprefix("https://").removeprefix("http://")
        found["metadata"]["annotations"] = {"routing.opendatahub.io/external-address-rest": address}
    clusters.clusters["stage"].apply(found)


def with_registries(*urls: str, **fields: Any) -> Callable[[Clusters], None]:
    return replaced(registries=list(urls), **fields)


def refused_by_registry(clusters: Clusters) -> None:
    with_registries(clusters.world.registry.url)(clusters)


def refused_by_registry_with_its_own_token(clusters: Clusters) -> None:
    (clusters.world.directory / "registry.token").write_text("another")
    with_registries(clusters.world.registry.url, registryTokenFile="registry.token")(clusters)


def refused_by_shared_registry(clusters: Clusters) -> None:
    clusters.more["sharedRegistries"] = [{"name": "company", "url": clusters.world.registry.url}]


def write_file(text: str) -> Callable[[Clusters], None]:
    """Write the file by hand."""

    def spoil(clusters: Clusters) -> None:
        clusters.file.write_text(text)

    return spoil


CASES = {
    "forbidden": Case(lambda c: c.allow("stage", nothing=True), "rights", "may not read anything", "clusters/account"),
    "forbidden-list": Case(lambda c: c.allow("stage", nothing=True), "models", "cannot be listed: ", "Rights"),
    "down": Case(
        lambda c: c.clusters["stage"].go_down(),
        "credentials",
        "request to the API server failed",
        "check that the API server",
    ),
    "hanging": Case(hang, "credentials", "no answer in time", "no network policy or firewall blocks the way to it"),
    "wrong-authority": Case(
        distrust, "credentials", "certificate", "set its authority in caFile or caData of cluster stage"
    ),
    "no-authority": Case(
        replaced(caFile=None), "credentials", "certificate", "set its authority in caFile or caData of cluster stage"
    ),
    "expired": Case(
        expire, "credentials", "the token has expired", "stage.token is not, or no longer, valid for cluster"
    ),
    "revoked": Case(
        lambda c: c.clusters["stage"].revoke(f"{CANARY}-stage"),
        *("credentials", "the token is not accepted", "write a new one into that file"),
    ),
    "no-token-file": Case(
        replaced(tokenFile="missing.token"),
        "credentials",
        "missing.token cannot be read",
        "correct the entry of cluster",
    ),
    "empty-token-file": Case(
        lambda c: c.token_file("stage").write_text("\n"), "credentials", "stage.token is empty", "cluster stage"
    ),
    "no-authority-file": Case(replaced(caFile="no.crt"), "credentials", "caFile", "correct the entry of cluster stage"),
    "no-kubeconfig": Case(of_kubeconfig(text=""), "credentials", "stage.kubeconfig", "the entry of cluster stage"),
    "broken-kubeconfig": Case(of_kubeconfig(text="a: ["), "credentials", "stage.kubeconfig", "the entry of cluster"),
    "unknown-context": Case(of_kubeconfig("tomorrow"), "credentials", "tomorrow", "the entry of cluster stage"),
    "unknown-field": Case(
        write_file("clusters:\n  - name: prod\n    tokenfile: x\n"),
        *("clusters", "line 3, clusters[0].tokenfile: there is no such field", "docs/clusters.md", ""),
    ),
    "no-file": Case(
        lambda c: c.world.environ.update(CLUSTERS_FILE=str(c.world.directory / "none.yaml")),
        *("clusters", "none.yaml cannot be read", "correct the file that CLUSTERS_FILE names", ""),
    ),
    "not-yaml": Case(write_file("clusters: ["), "clusters", "line 1: not YAML", "docs/clusters.md", ""),
    "misspelt-namespace": Case(
        replaced(namespaces=["modells"]),
        *("models", "in namespace modells, or", "misspelt in namespaces of cluster stage in CLUSTERS_FILE"),
        verdict="warning",
    ),
    "no-kserve": Case(lambda c: c.clusters["stage"].uninstall("inferenceservices"), "kinds", "not installed", "KServe"),
    "token-refused-by-registry": Case(refused_by_registry, "registries", "401", "registryTokenFile of cluster stage"),
    "own-token-refused-by-registry": Case(
        refused_by_registry_with_its_own_token,
        "registries",
        "401",
        "registry.token (registryTokenFile of cluster stage",
    ),
    "token-refused-by-shared-registry": Case(
        refused_by_shared_registry, "registries", "401", "its tokenFile, named under sharedRegistries", ""
    ),
    "no-registry-token-file": Case(
        replaced(registryTokenFile="none.token"),
        "credentials",
        "none.token, cannot be read",
        "write the token into this file",
    ),
    "untrusted-registry": Case(
        lambda c: register(c, url="https://registry.example.com", namespace="team"),
        *("registries", "outside the trusted namespaces", "add team to registryNamespaces of cluster stage"),
        verdict="warning",
    ),
    "registry-without-address-outside": Case(register, "registries", "has no address", "a Route needs a router"),
    "unknown-registry": Case(
        with_registries("https://registry.invalid"),
        *("registries", "registry.invalid", "check registries of cluster stage in CLUSTERS_FILE"),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_what_is_broken_in_one_cluster_is_named_there_alone(clusters: Clusters, case: Case) -> None:
    spoilt = case.spoil(clusters)
    if isawaitable(spoilt):
        await spoilt

    report = await clusters.examine()

    matching = [f for f in found(report, case.verdict, case.cluster, case.step) if case.message in f.message]
    assert matching, [step for step in report.steps if step.cluster == case.cluster]
    assert any(case.remedy in f.remedy for f in matching), matching
    if case.cluster:
        for other in ("hub", "prod"):
            assert not [f for s in report.steps if s.cluster == other for f in s.findings if f.verdict == "fault"]
    if case.verdict == "fault":
        assert report.status() == 1
    assert CANARY not in json.dumps(report.as_json())
    assert "the doctor itself failed" not in json.dumps(report.as_json())


@pytest.mark.parametrize("fields", [{"tokenFile": "missing.token"}, {"url": "https://127.0.0.1:1"}], ids=str)
async def test_what_cannot_be_checked_in_a_cluster_is_one_line(clusters: Clusters, fields: dict[str, str]) -> None:
    replaced(**fields)(clusters)

    report = await clusters.examine()

    (skipped,) = [
        f for step in report.steps if step.cluster == "stage" for f in step.findings if f.verdict == "skipped"
    ]
    assert skipped.message == "the other checks of this cluster are skipped until its API server can be used"
    assert {step.name for step in report.steps if step.cluster == "stage"} <= {"credentials", "registries"}


async def test_the_cache_is_looked_at_whatever_the_file_says(clusters: Clusters) -> None:
    clusters.file.write_text("clusters: [")
    report = await clusters.examine()
    assert {f.verdict for step in report.steps if step.name == "cache" for f in step.findings} == {"ok"}


async def test_of_a_cluster_that_has_the_cache_alone_no_more_is_asked(clusters: Clusters) -> None:
    del clusters.entries["hub"]
    for name in ("MODEL_REGISTRY_URLS", "MODEL_CATALOG_URL"):
        del clusters.world.environ[name]
    report = await clusters.examine()

    assert sorted(step.name for step in report.steps if not step.cluster) == sorted(
        ("settings", "clusters", "credentials", "rights", "cache", "hidden", "feed", "backstage")
    )
    (rights,) = [step for step in report.steps if step.name == "rights" and not step.cluster]
    assert [f.message for f in rights.findings] == [
        f"may get, list, watch, create, patch configmaps in namespace {NAMESPACE}, to keep the cache"
    ]


async def test_one_that_hangs_keeps_no_other_waiting(clusters: Clusters) -> None:
    clusters.clusters["prod"].fault("hang", times=None)
    clusters.write()
    steps: asyncio.Queue[Step] = asyncio.Queue()

    async def all_steps() -> None:
        async for step in examine(clusters.world.options()):
            steps.put_nowait(step)

    clusters.world.timeout = 3600.0  # nothing of this test waits for it
    task = asyncio.create_task(all_steps())
    done: set[str] = set()
    while not {"hub", "stage"} <= done:
        step = await steps.get()
        done |= {step.cluster} if step.name == "registries" else set()
        assert step.cluster != "prod"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_two_ways_to_one_server_are_reported(clusters: Clusters) -> None:
    clusters.entries["stage"] = {"name": "stage", "kubeconfig": "prod.kubeconfig"}
    clusters.clusters["prod"].kubeconfig(clusters.world.directory / "prod.kubeconfig", namespace="default")

    report = await clusters.examine()

    faults = {name: found(report, "fault", name, "credentials") for name in ("prod", "stage")}
    ((name, (fault,)),) = [(name, each) for name, each in faults.items() if each]  # of the one that came second
    other = {"prod": "stage", "stage": "prod"}[name]
    assert fault.message == f"this is the same API server as that of cluster {other}"


async def test_no_server_is_sent_the_token_of_another_cluster(clusters: Clusters) -> None:
    registries = {name: FakeRegistry(tokens=[]) for name in ("prod", "stage", "shared")}
    for name, registry in registries.items():
        await clusters.world.enter(registry)
        if name != "shared":
            clusters.entries[name]["registries"] = [registry.url]
    (clusters.world.directory / "registry.token").write_text(f"{CANARY}-registry")
    clusters.entries["stage"]["registryTokenFile"] = "registry.token"
    clusters.more["sharedRegistries"] = [{"url": registries["shared"].url}]

    await clusters.examine()
    await trace_of(clusters, "models/iris")

    sent = {name: cluster.authorizations for name, cluster in clusters.clusters.items()}
    assert sent == {
        "hub": {f"Bearer {TOKEN}"},
        "prod": {f"Bearer {CANARY}-prod"},
        "stage": {f"Bearer {CANARY}-stage"},
    }
    assert {name: registry.authorizations for name, registry in registries.items()} == {
        "prod": {f"Bearer {CANARY}-prod"},
        "stage": {f"Bearer {CANARY}-registry"},
        "shared": {""},
    }
    assert clusters.world.registry.authorizations == {f"Bearer {TOKEN}"}


async def trace_of(clusters: Clusters, name: str) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return verdicts and messages of the doctor for one model, by cluster and step."""
    clusters.write()
    steps = [step async for step in trace(clusters.world.options(), name)]
    return {(s.cluster, s.name): [(f.verdict, f.message) for f in s.findings] for s in steps}


async def test_a_model_of_any_cluster_is_found(clusters: Clusters) -> None:
    found = await trace_of(clusters, "models/stage-model")
    assert found["stage", "deployment"][0][0] == "ok"
    for other in ("hub", "prod"):
        said = "no InferenceService is named models/stage-model here: another cluster has it"
        assert found[other, "deployment"] == [("skipped", said)]
    assert found["", "cache"][0][0] == "fault"  # the source of the model has it, but the cache does not

    found = await trace_of(clusters, "nowhere")
    assert {found[name, "deployment"][0][0] for name in clusters.entries} == {"fault"}


async def test_the_entry_of_the_right_cluster_is_found_among_those_of_one_name(clusters: Clusters) -> None:
    for name in ("prod", "stage"):
        clusters.clusters[name].apply(isvc("fraud"))
    host, _, port = clusters.clusters["stage"].url.removeprefix("https://").partition(":")
    values = {
        "models_fraud": clusters.world.entry(ref="isvc:elsewhere_443:models/fraud"),
        "models_fraud-stage": clusters.world.entry(ref=f"isvc:{host}_{port}:models/fraud"),
    }
    clusters.world.put_cache(values)
    clusters.world.pod.documents |= {"/models/fraud-stage/model-catalog.json": ""}

    found = await trace_of(clusters, "models/fraud")

    assert [message for _, message in found["", "cache"]] == ["models_fraud-stage in ConfigMap bac-import-model"]
    assert found["", "feed"][0][0] == "ok"


async def test_one_that_hangs_is_reported_and_the_others_are_searched(clusters: Clusters) -> None:
    hang(clusters)
    found = await trace_of(clusters, "models/prod-model")
    assert found["prod", "deployment"][0][0] == "ok"
    assert [verdict for verdict, _ in found["stage", "credentials"]] == ["ok", "fault", "skipped"]
    assert ("stage", "deployment") not in found

    clusters.allow("prod", nothing=True)
    found = await trace_of(clusters, "wine")
    said = "no InferenceService is named wine here: it may be in prod, stage, which cannot be searched"
    assert found["hub", "deployment"] == [("skipped", said)]


async def test_the_bundle_has_the_objects_of_all_and_no_secret(clusters: Clusters) -> None:
    (clusters.world.directory / "registry.token").write_text(f"{CANARY}-registry")
    (clusters.world.directory / "shared.token").write_text(f"{CANARY}-shared")
    replaced(registryTokenFile="registry.token")(clusters)
    clusters.more["sharedRegistries"] = [{"url": "https://registry.invalid", "tokenFile": "shared.token"}]
    secrets = [f"{CANARY}-{name}" for name in ("prod-admin", "stage", "registry", "shared")]
    leaky = isvc("leaky", annotations={f"example.com/note-{number}": each for number, each in enumerate(secrets)})
    clusters.clusters["prod"].apply(leaky)
    clusters.clusters["prod"].kubeconfig(clusters.world.directory / "prod.kubeconfig", namespace="default")
    clusters.entries["prod"] = {"name": "prod", "kubeconfig": "prod.kubeconfig"}
    report = await clusters.examine()

    files = await collect(clusters.world.options(), report)

    for name in ("hub", "prod", "stage"):
        assert f"clusters/{name}/manifests/inferenceservices.yaml" in files
    assert "stage-model" in files["clusters/stage/manifests/inferenceservices.yaml"]
    text = "\n".join(files.values())
    assert text.count("(removed)") >= len(secrets)
    assert [secret for secret in secrets if secret in text] == []


async def test_a_token_is_no_less_secret_where_there_is_no_way_to_its_cluster(clusters: Clusters) -> None:
    clusters.entries["stage"]["caFile"] = "none.crt"
    clusters.clusters["prod"].apply(isvc("leaky", annotations={"example.com/note": f"{CANARY}-stage"}))
    files = await collect(clusters.world.options(), await clusters.examine())
    assert "leaky" in files["clusters/prod/manifests/inferenceservices.yaml"]
    assert f"{CANARY}-stage" not in "".join(files.values())


async def test_a_bundle_does_not_wait_for_a_cluster_that_hangs(clusters: Clusters) -> None:
    hang(clusters)
    files = await collect(clusters.world.options(), await clusters.examine())
    assert "clusters/prod/manifests/inferenceservices.yaml" in files
    assert "clusters/stage/manifests/inferenceservices.yaml" not in files


async def test_contexts_of_the_command_line_are_walked_like_clusters_of_the_file(clusters: Clusters) -> None:
    world = clusters.world
    del world.environ["CLUSTERS_FILE"]
    path = world.directory / "kubeconfig"
    clusters.clusters["prod"].kubeconfig(path, namespace="default")
    (context,) = [each["name"] for each in yaml.safe_load(path.read_text())["contexts"]]
    world.environ |= {"KUBECONFIG": str(path)}

    status, text = await world.run("--cluster", context, "--format", "json")
    steps = json.loads(text)["steps"]
    assert status == 1  # the token of the world's registry is not that of this cluster
    assert [s["name"] for s in steps if s["cluster"]] == ["credentials", "kinds", "rights", "models", "registries"]
    (cache,) = [s for s in steps if s["name"] == "cache"]
    assert cache["findings"][0]["message"] == "STORAGE_TYPE is File, so there are no ConfigMaps to check"

    status, text = await world.run("--cluster", "nowhere")
    assert (status, "✗ no context nowhere in" in text) == (1, True)


async def test_the_command_tells_each_cluster_below_its_name(clusters: Clusters) -> None:
    clusters.write()
    status, text = await clusters.world.run()
    assert status == 0, text
    assert "\nCluster stage\n  Credentials and API server\n" in text
    assert "    ✓ the credentials are those of cluster stage of CLUSTERS_FILE, for https://" in text
