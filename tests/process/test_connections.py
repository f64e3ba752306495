"""What connections lead to is shown where their Secrets may be read, and nothing secret leaves the pod."""

import base64
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.kubernetes import ProcessCluster, Rule
from tests.objects import isvc, llm_isvc, predictor_pod, secret
from tests.process.doctor import doctor
from tests.process.pod import LOCATION, NORMALIZER, Pod, isvc_uri
from tests.process.reader import Reader

ALLOWED = (Rule(api_groups=("",), resources=("secrets",), verbs=("get",)),)
LLMS = (Rule(api_groups=("serving.kserve.io",), resources=("llminferenceservices",), verbs=("get", "list", "watch")),)
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


def leaking(name: str, protocol: str) -> dict[str, Any]:
    """Return a Secret with the canary wherever one may have a credential, in the fields that are read too."""
    address = f"https://user:{CANARY}@minio.example.com/models?sv=1&sig={CANARY}&X-Amz-Signature={CANARY}"
    fields = {
        "AWS_S3_BUCKET": f"u:{CANARY}@acme",
        "AWS_S3_ENDPOINT": address,
        "URI": address,
        "OCI_HOST": f"https://{CANARY}@quay.io/acme",
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", ".dockerconfigjson", "any other"), CANARY),
    }
    obj = secret(name, data={key: base64.b64encode(text.encode()).decode() for key, text in fields.items()})
    obj["metadata"]["labels"] = {"of-someone": CANARY}
    obj["metadata"]["annotations"] = {
        "opendatahub.io/connection-type-protocol": protocol,
        "openshift.io/display-name": f"Ours, see {address}",
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"stringData": fields}),
        "of-someone": CANARY,
    }
    return obj


def using(name: str, kind: str) -> dict[str, Any]:
    annotations = {"opendatahub.io/connections": name, "opendatahub.io/connection-path": "x"}
    if kind == "LLMInferenceService":
        return llm_isvc(f"l-{name}", uri="", annotations=annotations)
    obj = isvc(f"i-{name}", annotations=annotations, storage_uri=None)
    if name == "s3":
        obj["spec"]["predictor"]["model"]["storage"] = {"key": name, "path": "x"}
    return obj


def location(document: dict[str, Any]) -> str:
    return str(document["models"][0].get("artifactLocationURL", ""))


@pytest.mark.parametrize(("further_rules", "variables"), [(ALLOWED, RESOLVING)])
async def test_the_bucket_of_a_connection_is_shown_also_when_it_changes(
    pod: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
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
) -> None:
    pod.keep_secret(CANARY)
    await cluster.apply(connection("acme"))
    predictor = predictor_pod(deployment(1), fetched="s3://acme/iris")
    predictor["spec"]["containers"][0]["env"] = [{"name": "TOKEN", "value": CANARY}]
    await cluster.apply(predictor)
    await cluster.apply(deployment(1))
    await pod.start()
    await pod.shows(URI, lambda document: location(document) == "s3://acme/iris")


@pytest.mark.parametrize(("variables", "asked_in_vain"), [(RESOLVING, ("secrets", "pods"))])
async def test_without_the_right_the_model_is_shown_all_the_same(
    pod: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
    pod.tolerate("connections_unreadable")
    await cluster.apply(connection("acme"))
    await cluster.apply(deployment(1))
    await pod.start()
    await pod.shows(URI, lambda document: location(document) == "")


@pytest.mark.parametrize(
    ("resources", "further_rules", "variables", "asked_in_vain"),
    # The bundle has the logs of the other pods where these may be read.
    [(["inferenceservices", "llminferenceservices", "routes"], ALLOWED + LLMS, RESOLVING, ("pods",))],
)
@pytest.mark.parametrize("fault", ["", "truncate", "drop_after", "status"])
async def test_no_secret_leaves_whatever_happens(
    pod: Pod, cluster: ProcessCluster, reader: Reader, fault: str, tmp_path: Path
) -> None:
    """Not in logs, metrics, probes, documents, status, ConfigMaps (as no secret of any pod does), nor in a bundle."""
    pod.keep_secret(CANARY, base64.b64encode(CANARY.encode()).decode())
    kinds = ("InferenceService", "LLMInferenceService")
    types = ("s3", "uri", "oci", "odd")
    await cluster.apply_all([leaking(name, name) for name in types])
    await cluster.apply_all([using(name, kind) for name in types for kind in kinds])
    if fault:
        await cluster.fault(fault, resource="secrets", times=6)
    await pod.start()
    uris = [isvc_uri(f"{letter}-{name}") for letter in "il" for name in types]
    await pod.serving(*uris)
    await pod.shows(
        isvc_uri("l-uri"), lambda document: location(document).startswith("https://minio.example.com/models")
    )
    await pod.shows(isvc_uri("i-s3"), lambda document: location(document) == "s3://acme/x")
    for path in ("/status", "/", "/catalog-info.yaml", *(f"/modelcard?key=models_{uri.split('/')[2]}" for uri in uris)):
        await pod.get(LOCATION, path)
    await pod.get(NORMALIZER, "/status")
    bundle = tmp_path / "bundle.tar.gz"
    await doctor(pod, "--bundle", str(bundle))
    with tarfile.open(bundle) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is None or CANARY.encode() not in content.read(), member.name
