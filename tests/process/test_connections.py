"""What connections lead to is shown where their Secrets may be read, and nothing secret leaves the pod."""

import base64
from typing import Any

import pytest

from tests.fakes.kubernetes import ProcessCluster, Rule
from tests.objects import isvc, predictor_pod, secret
from tests.process.pod import NORMALIZER, Pod, isvc_uri
from tests.process.reader import Reader

ALLOWED = (Rule(api_groups=("",), resources=("secrets",), verbs=("get",)),)
PODS_ALLOWED = (Rule(api_groups=("",), resources=("pods",), verbs=("list",)),)
RESOLVING = {"RESOLVE_CONNECTIONS": "true", "LOG_LEVEL": "DEBUG"}
URI = isvc_uri("iris")
CANARY = "canary-of-the-connection"


def connection(bucket: str) -> dict[str, Any]:
    fields = {"AWS_S3_BUCKET": bucket, "AWS_SECRET_ACCESS_KEY": CANARY, "AWS_S3_ENDPOINT": f"https://u:{CANARY}@minio"}
    obj = secret("bucket", data={key: base64.b64encode(text.encode()).decode() for key, text in fields.items()})
    obj["metadata"] |= {
        "labels": {"opendatahub.io/managed": "true", "opendatahub.io/dashboard": "true"},
        "annotations": {
            "opendatahub.io/connection-type-protocol": "s3",
            "opendatahub.io/connection-type": "s3",
            "kubectl.kubernetes.io/last-applied-configuration": CANARY,
        },
    }
    return obj


def deployment(replicas: int) -> dict[str, Any]:
    obj = isvc("iris", annotations={"opendatahub.io/connections": "bucket"})
    obj["spec"]["predictor"]["minReplicas"] = replicas
    obj["spec"]["predictor"]["model"] = {"modelFormat": {"name": "onnx"}, "storage": {"key": "bucket", "path": "iris"}}
    return obj


def location(document: dict[str, Any]) -> str:
    return str(document["models"][0].get("artifactLocationURL", ""))


@pytest.mark.parametrize(("further_rules", "variables"), [(ALLOWED, RESOLVING)])
async def test_the_bucket_of_a_connection_is_shown_also_when_it_changes(
    pod: Pod, cluster: ProcessCluster, reader: Reader
):
    pod.keep_secret(CANARY, base64.b64encode(CANARY.encode()).decode())
    await cluster.apply(connection("acme"))
    await cluster.apply(deployment(1))
    await pod.start()
    await pod.shows(URI, lambda document: location(document) == "s3://acme/iris")

    await cluster.apply(connection("other"))
    await cluster.apply(deployment(2))
    await pod.shows(URI, lambda document: location(document) == "s3://other/iris")

    await pod.restart(NORMALIZER)
    await cluster.delete("Secret", "models", "bucket")
    await cluster.apply(deployment(3))
    await pod.shows(URI, lambda document: location(document) == "")


@pytest.mark.parametrize(
    ("further_rules", "variables", "asked_in_vain"),
    [(PODS_ALLOWED, RESOLVING, ("secrets",)), (PODS_ALLOWED, RESOLVING | {"RESOLVE_CONNECTIONS": "pods"}, ())],
)
async def test_without_the_right_to_secrets_a_running_pod_tells_the_bucket(
    pod: Pod, cluster: ProcessCluster, reader: Reader
):
    pod.keep_secret(CANARY)
    await cluster.apply(connection("acme"))
    predictor = predictor_pod(deployment(1), fetched="s3://acme/iris")
    predictor["spec"]["containers"][0]["env"] = [{"name": "TOKEN", "value": CANARY}]
    await cluster.apply(predictor)
    await cluster.apply(deployment(1))
    await pod.start()
    await pod.shows(URI, lambda document: location(document) == "s3://acme/iris")


@pytest.mark.parametrize(("variables", "asked_in_vain"), [(RESOLVING, ("secrets", "pods"))])
async def test_without_the_right_the_model_is_shown_all_the_same(pod: Pod, cluster: ProcessCluster, reader: Reader):
    pod.tolerate("connections_unreadable")
    await cluster.apply(connection("acme"))
    await cluster.apply(deployment(1))
    await pod.start()
    await pod.shows(URI, lambda document: location(document) == "")
