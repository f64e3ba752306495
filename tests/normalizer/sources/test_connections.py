"""Secrets of connections are read by name when a deployment uses them, metadata first, and nothing secret leaves."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from services.normalizer.facts import Gone, Ref
from services.normalizer.normalize.connection import Connection, Resolving
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.sources.kserve.connections import Connections, UnreadConnections
from tests import objects
from tests.common.kube.conftest import credentials_for
from tests.fakes.kubernetes import FakeCluster, Rule
from tests.normalizer.sources.scripted import Recorder, Script, running
from tests.waiting import eventually

CANARY = "CANARY"


def secret(name: str, protocol: str, **fields: str) -> dict[str, Any]:
    data = {"AWS_SECRET_ACCESS_KEY": CANARY, "AWS_ACCESS_KEY_ID": CANARY, **fields}
    obj = objects.secret(name, data={key: base64.b64encode(text.encode()).decode() for key, text in data.items()})
    obj["metadata"]["annotations"] = {
        "opendatahub.io/connection-type-protocol": protocol,
        "kubectl.kubernetes.io/last-applied-configuration": CANARY,
    }
    return obj


def deploy(script: Script, name: str = "m", *, connection: str = "bucket", namespace: str = "models") -> None:
    annotations = {"opendatahub.io/connections": connection, "opendatahub.io/connection-path": "x"}
    obj = objects.isvc(name, namespace, annotations=annotations)
    obj["spec"] = {"predictor": {"model": {}}}
    script.tell(Ref.isvc("local", namespace, name), read_isvc(obj))


@asynccontextmanager
async def resolving(
    cluster: FakeCluster, *, token: str = "", way: Resolving = "true", **options: Any
) -> AsyncIterator[tuple[Script, Recorder]]:
    script, told, metrics = Script(), Recorder(), KubeMetrics(Metrics("test", "1"))
    async with (
        KubeClient(credentials=credentials_for(cluster, token), metrics=metrics) as client,
        running(Connections(script, client=client, resolving=way, **options), told, script=script),
    ):
        yield script, told


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster() as cluster:
        cluster.add_namespace("models")
        yield cluster


async def test_what_a_deployment_uses_is_read_by_its_name(cluster: FakeCluster) -> None:
    cluster.apply(secret("bucket", "s3", AWS_S3_BUCKET="acme"))
    cluster.apply(secret("registry", "oci", OCI_HOST="quay.io/acme"))
    with structlog.testing.capture_logs() as logs:
        async with resolving(cluster) as (script, told):
            deploy(script)
            deploy(script, "n", connection="registry")
            await eventually(lambda: len(told.known) == 2)
    bucket, registry = told.known["models/bucket"], told.known["models/registry"]
    assert isinstance(bucket, Connection)
    assert isinstance(registry, Connection)
    assert (bucket.state, bucket.bucket) == ("read", "acme")
    assert (registry.state, registry.type) == ("typed", "oci"), "its type is enough"
    assert cluster.counts.of("get", "secrets") == 3
    assert cluster.counts.of("list", "secrets") == cluster.counts.of("watch", "secrets") == 0
    assert told.deployments == [Ref.isvc("local", "models", name) for name in ("m", "n")]
    assert CANARY not in repr((told.known, logs))


async def test_a_connection_that_is_missing_comes_and_changes_with_the_deployment(cluster: FakeCluster) -> None:
    async with resolving(cluster) as (script, told):
        deploy(script)
        await eventually(lambda: told.known == {"models/bucket": missing("models", "bucket")})
        cluster.apply(secret("bucket", "s3", AWS_S3_BUCKET="acme"))
        deploy(script)
        await eventually(lambda: bucket_of(told) == "acme")
        script.tell(Ref.isvc("local", "models", "m"), Gone())
        assert told.known == {"models/bucket": Gone()}


async def test_all_are_read_again_from_time_to_time(cluster: FakeCluster) -> None:
    cluster.apply(secret("bucket", "s3", AWS_S3_BUCKET="acme"))
    async with resolving(cluster, refresh=0.05) as (script, told):
        deploy(script)
        await eventually(lambda: bucket_of(told) == "acme")
        cluster.apply(secret("bucket", "s3", AWS_S3_BUCKET="other"))
        await eventually(lambda: bucket_of(told) == "other")


async def test_without_the_right_it_is_said_once(cluster: FakeCluster) -> None:
    cluster.grant("token", "someone", [Rule(api_groups=("",), resources=("pods",), verbs=("get",))])
    with structlog.testing.capture_logs() as logs:
        async with resolving(cluster, token="token") as (script, told):
            deploy(script)
            deploy(script, "n", connection="other")
            await eventually(lambda: len(told.known) == 2)
    assert {known.state for known in told.known.values() if isinstance(known, Connection)} == {"forbidden"}
    assert len([entry for entry in logs if entry["event"] == "connections_unreadable"]) == 1


async def test_that_none_is_read_is_said_once(cluster: FakeCluster) -> None:
    script, told = Script(), Recorder()
    with structlog.testing.capture_logs() as logs:
        await UnreadConnections(script).run(told)
        script.tell(Ref.isvc("local", "models", "plain"), read_isvc(objects.isvc("plain")))
        assert logs == []
        for name in ("m", "n"):
            deploy(script, name)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("connections_not_read", "info")]
    assert len(told.deployments) == 3


def deploy_by_key(
    cluster: FakeCluster, script: Script, name: str, *, fetched: str = "", phase: str = "Running", started: str = ""
) -> None:
    """Deploy a model as the platform applies a connection, and perhaps a pod that has fetched it."""
    obj = objects.isvc(name)
    obj["spec"]["predictor"]["model"] = {"storage": {"key": "bucket", "path": "x"}}
    if fetched:
        pod = objects.predictor_pod(obj, fetched=fetched, phase=phase)
        pod["metadata"]["creationTimestamp"] = started or "2025-12-31T00:00:00Z"
        pod["spec"]["containers"][0]["env"] = [{"name": "AWS_SECRET_ACCESS_KEY", "value": CANARY}]
        cluster.apply(pod)
    script.tell(Ref.isvc("local", "models", name), read_isvc(obj))


PODS_ALLOWED = (Rule(api_groups=("",), resources=("pods",), verbs=("list",)),)


@pytest.mark.parametrize("way", ["true", "pods"])
async def test_without_the_right_to_secrets_a_running_pod_tells_the_bucket(
    cluster: FakeCluster, way: Resolving
) -> None:
    cluster.grant("token", "someone", PODS_ALLOWED)
    with structlog.testing.capture_logs() as logs:
        async with resolving(cluster, token="token", way=way) as (script, told):
            deploy_by_key(cluster, script, "m", fetched="s3://acme/x")
            await eventually(lambda: bucket_of(told) == "acme")
    assert cluster.counts.of("list", "pods") == 1
    assert cluster.counts.of("watch", "pods") == 0
    assert cluster.counts.of("get", "secrets") == (way == "true")
    assert CANARY not in repr((told.known, logs))
    assert not [entry for entry in logs if entry["log_level"] == "warning"]


async def test_only_pods_that_run_tell_each_deployment_its_own_bucket(cluster: FakeCluster) -> None:
    """The Secret named another bucket when an older pod was started, which serves from there until it ends."""

    def buckets(*names: str) -> list[str]:
        connection = told.known.get("models/bucket")
        return [connection.of(name).bucket for name in names] if isinstance(connection, Connection) else []

    async with resolving(cluster, way="pods") as (script, told):
        deploy_by_key(cluster, script, "m", fetched="s3://failed/x", phase="Failed")
        await eventually(lambda: "models/bucket" in told.known)
        assert told.known["models/bucket"] == Connection(namespace="models", name="bucket", state="pod")
        deploy_by_key(cluster, script, "n", fetched="s3://former/x", started="2026-01-01T00:00:00Z")
        await eventually(lambda: bucket_of(told) == "former")
        deploy_by_key(cluster, script, "o", fetched="s3://acme/x", started="2026-01-02T00:00:00Z")
        await eventually(lambda: buckets("n", "o", "m") == ["former", "acme", "acme"])
        for name in ("p", "q", "r"):  # more than are asked at a time
            deploy_by_key(cluster, script, name)
        await eventually(lambda: buckets("n", "o", "r") == ["former", "acme", "acme"])
        script.tell(Ref.isvc("local", "models", "n"), Gone())
        deploy_by_key(cluster, script, "r")
        await eventually(lambda: buckets("n") == ["acme"])


async def test_pods_are_asked_for_a_bucket_only(cluster: FakeCluster) -> None:
    async with resolving(cluster, way="pods") as (script, told):
        deploy(script)
        await eventually(lambda: "models/bucket" in told.known)
    assert cluster.counts.of("list", "pods") == cluster.counts.of("get", "secrets") == 0


async def test_without_either_right_one_line_names_both(cluster: FakeCluster) -> None:
    cluster.grant("token", "someone", [])
    with structlog.testing.capture_logs() as logs:
        async with resolving(cluster, token="token") as (script, told):
            for name in ("m", "n"):
                deploy_by_key(cluster, script, name, fetched="s3://acme/x")
            await eventually(lambda: "models/bucket" in told.known)
    assert told.known["models/bucket"] == Connection(namespace="models", name="bucket", state="forbidden")
    (line,) = [entry["remedy"] for entry in logs if entry["event"] == "connections_unreadable"]
    assert "resources [secrets], verbs [get]" in line
    assert "resources [pods], verbs [list]" in line


@pytest.mark.parametrize("allowed", [["models"], ["models/bucket", "elsewhere"]])
async def test_only_what_is_allowed_is_read(cluster: FakeCluster, allowed: list[str]) -> None:
    async with resolving(cluster, allowed=allowed) as (script, told):
        deploy(script, "secret", namespace="forbidden")
        deploy(script, "x", connection="other/bucket")
        deploy(script)
        await eventually(lambda: "models/bucket" in told.known)
        assert cluster.counts.of("get", "secrets") == 1


async def test_a_server_in_trouble_is_asked_again(cluster: FakeCluster) -> None:
    cluster.apply(secret("bucket", "s3", AWS_S3_BUCKET="acme"))
    cluster.fault("status", resource="secrets", status=500, times=3)
    async with resolving(cluster) as (script, told):
        deploy(script)
        await eventually(lambda: bucket_of(told) == "acme")


def missing(namespace: str, name: str) -> Connection:
    return Connection(namespace=namespace, name=name, state="missing")


def bucket_of(told: Recorder) -> str:
    known = told.known.get("models/bucket")
    return known.bucket if isinstance(known, Connection) else ""
