"""The procedures of "Using connections" (Red Hat OpenShift AI, chapter 3) that concern models, each by its section.

What a section has people write is written into files, and what the platform makes of it; the preview reads both.
"""

import base64
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import yaml
from click.testing import CliRunner

from services.connector.cli import main

Type = Literal["s3", "uri", "oci"]
Kind = Literal["InferenceService", "LLMInferenceService"]

TYPES: tuple[Type, ...] = ("s3", "uri", "oci")
KINDS: tuple[Kind, ...] = ("InferenceService", "LLMInferenceService")
PLATFORM = "opendatahub.io"
KEY = "canary-of-the-connection"
URI = "https://example.com/models/my-model.tar.gz"
FIELDS: dict[Type, dict[str, str]] = {
    "s3": {
        "AWS_S3_ENDPOINT": f"https://user:{KEY}@s3.example.com",
        "AWS_S3_BUCKET": "my-bucket",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
    },
    "uri": {"URI": URI},
    "oci": {".dockerconfigjson": KEY, "OCI_HOST": f"http://user:{KEY}@quay.io/my-org"},
}
FOUND = {f"{PLATFORM}/managed": "true", f"{PLATFORM}/dashboard": "true"}


class Seen(NamedTuple):
    """What developers see of one model: where its files are, what is known of its connection, what is wrong."""

    location: str
    details: dict[str, Any]
    problems: list[dict[str, Any]]

    def told(self, words: str) -> dict[str, Any]:
        """Return the one problem with these words."""
        (problem,) = [each for each in self.problems if words in each["message"]]
        return problem


@pytest.fixture
def see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write objects into a file and return what is seen of the one model among them."""
    monkeypatch.setenv("RESOLVE_CONNECTIONS", "true")

    def seen(*objects: dict[str, Any]) -> Seen:
        (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        result = CliRunner().invoke(main, ["preview", str(tmp_path), "--format", "json"])
        assert KEY not in result.output
        (entry,) = json.loads(result.stdout)
        location = entry["document"]["models"][0].get("artifactLocationURL", "")
        return Seen(location, entry["details"], entry["problems"])

    return seen


def connection(protocol: Type, **changed: Any) -> dict[str, Any]:
    """Return a Secret as the sections on creating a connection type have it written."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"my-{protocol}-connection",
            "namespace": "my-project",
            "annotations": {f"{PLATFORM}/connection-type-protocol": protocol},
        },
        "type": "kubernetes.io/dockerconfigjson" if protocol == "oci" else "Opaque",
        "stringData": FIELDS[protocol] | changed,
    }


def made_in_the_dashboard(protocol: Type) -> dict[str, Any]:
    """Return the Secret that the dashboard makes of its form: both generations of annotations, and its labels."""
    obj = connection(protocol)
    obj["metadata"] |= {"name": "secret-abc123", "labels": dict(FOUND)}
    obj["metadata"]["annotations"] |= {
        f"{PLATFORM}/connection-type-ref": "s3" if protocol == "s3" else f"{protocol}-v1",
        "openshift.io/display-name": "Our models",
    }
    if protocol == "s3":
        obj["metadata"]["annotations"][f"{PLATFORM}/connection-type"] = "s3"
    return obj


def deployed(kind: Kind, secret: str, *, path: str = "my-bucket-path") -> dict[str, Any]:
    """Return a deployment with the annotations of the section, before the platform has seen it."""
    annotations = {f"{PLATFORM}/connections": secret} | ({f"{PLATFORM}/connection-path": path} if path else {})
    llm = kind == "LLMInferenceService"
    return {
        "apiVersion": f"serving.kserve.io/{'v1alpha1' if llm else 'v1beta1'}",
        "kind": kind,
        "metadata": {"name": "my-model", "namespace": "my-project", "annotations": annotations},
        "spec": {"model": {}} if llm else {"predictor": {"model": {"modelFormat": {"name": "pytorch"}}}},
    }


def applied(obj: dict[str, Any], protocol: Type) -> dict[str, Any]:
    """Return a deployment as the platform stores it: what it puts in for a connection of this type (3.0 and later)."""
    secret = obj["metadata"]["annotations"][f"{PLATFORM}/connections"]
    llm = obj["kind"] == "LLMInferenceService"
    model = obj["spec"]["model"] if llm else obj["spec"]["predictor"]["model"]
    if protocol == "oci":
        (obj["spec"].setdefault("template", {}) if llm else obj["spec"]["predictor"])["imagePullSecrets"] = [
            {"name": secret}
        ]
    elif protocol == "uri":
        model["uri" if llm else "storageUri"] = URI
    elif llm:
        model["uri"] = "s3://my-bucket/my-bucket-path"
    else:
        model["storage"] = {"key": secret, "path": "my-bucket-path"}
    return obj


LOCATION: dict[Type, str] = {"s3": "s3://my-bucket/my-bucket-path", "uri": URI, "oci": ""}
BOTH = pytest.mark.parametrize("kind", KINDS)
ALL = pytest.mark.parametrize("protocol", TYPES)


@BOTH
@ALL
def test_3_1_adding_a_connection_to_your_project(see: Any, protocol: Type, kind: Kind) -> None:
    model = applied(deployed(kind, "secret-abc123"), protocol)
    seen = see(made_in_the_dashboard(protocol), model)
    assert seen.location == LOCATION[protocol]
    known = {name: seen.details.get(name) for name in ("connection", "connectionType", "connectionTitle")}
    assert known == {
        "connection": "secret-abc123",
        "connectionType": protocol,
        "connectionTitle": "Our models",
    }
    assert [each["message"] for each in seen.problems if protocol != "oci"] == []


@BOTH
def test_3_2_updating_a_connection(see: Any, kind: Kind) -> None:
    model = applied(deployed(kind, "my-uri-connection"), "uri")
    seen = see(connection("uri", URI="https://example.com/models/other.tar.gz"), model)
    assert seen.location == URI, "what is deployed, until it is deployed again"
    assert "deploy it again" in seen.told("leads to 'https://example.com/models/other.tar.gz' now")["remedy"]


def test_3_2_updating_an_s3_connection(see: Any) -> None:
    seen = see(
        connection("s3", AWS_S3_BUCKET="other"), applied(deployed("LLMInferenceService", "my-s3-connection"), "s3")
    )
    assert seen.location == LOCATION["s3"]
    assert "deploy it again" in seen.told("leads to 's3://other/my-bucket-path' now")["remedy"]
    seen = see(connection("s3", AWS_S3_BUCKET="other"), applied(deployed("InferenceService", "my-s3-connection"), "s3"))
    assert seen.location == "s3://other/my-bucket-path", "KServe looks into the Secret at each start"


@BOTH
@ALL
def test_3_3_deleting_a_connection(see: Any, protocol: Type, kind: Kind) -> None:
    """The model stays shown; that a cluster lacks the Secret is only reported by the source of a cluster."""
    seen = see(applied(deployed(kind, f"my-{protocol}-connection"), protocol))
    assert seen.location == (
        "" if protocol == "oci" or (protocol == "s3" and kind == "InferenceService") else LOCATION[protocol]
    )
    assert seen.details["connection"] == f"my-{protocol}-connection"


@BOTH
def test_3_4_using_the_connections_api_with_the_deprecated_annotation(see: Any, kind: Kind) -> None:
    secret = connection("uri")
    secret["metadata"]["annotations"] = {f"{PLATFORM}/connection-type-ref": "uri-v1"}
    seen = see(secret, applied(deployed(kind, "my-uri-connection"), "uri"))
    assert 'connection-type-protocol to "uri"' in seen.told("deprecated annotation")["remedy"]
    secret["metadata"]["annotations"] |= {f"{PLATFORM}/connection-type-protocol": "oci"}
    assert see(secret, applied(deployed(kind, "my-uri-connection"), "uri")).details["connectionType"] == "oci"


@BOTH
def test_3_4_1_namespace_isolation_in_connections_api(see: Any, kind: Kind) -> None:
    secret = connection("s3")
    secret["metadata"]["namespace"] = "another-project"
    seen = see(secret, deployed(kind, "my-s3-connection"))
    assert seen.location == ""
    assert "my-bucket" not in json.dumps(seen.details)


@BOTH
@pytest.mark.parametrize("written", ["my-project/my-s3-connection", "my-s3-connection,my-uri-connection"])
def test_3_4_referencing_connections_as_notebooks_do(see: Any, written: str, kind: Kind) -> None:
    seen = see(connection("s3"), connection("uri"), deployed(kind, written))
    assert seen.location == ""
    assert "name one connection of the same namespace" in seen.told("not the name of one Secret")["remedy"]


@BOTH
@pytest.mark.parametrize(
    ("protocol", "field", "words"),
    [("s3", "AWS_S3_BUCKET", "it names no bucket"), ("uri", "URI", "it has no address")],
)
def test_3_4_3_validation_scope_missing_fields(see: Any, protocol: Type, field: str, words: str, kind: Kind) -> None:
    seen = see(connection(protocol, **{field: ""}), deployed(kind, f"my-{protocol}-connection"))
    assert seen.location == ""
    assert field in seen.told(words)["remedy"]


@BOTH
@pytest.mark.parametrize("annotations", [{}, {f"{PLATFORM}/connection-type-protocol": "ftp"}])
def test_3_4_3_validation_scope_missing_annotation(see: Any, annotations: dict[str, str], kind: Kind) -> None:
    secret = connection("uri")
    secret["metadata"]["annotations"] = annotations
    seen = see(secret, deployed(kind, "my-uri-connection"))
    assert seen.location == ""
    assert "connection-type-protocol" in seen.told("its type is none of s3, uri and oci")["remedy"]


@BOTH
@ALL
def test_3_4_creating_a_connection_type_encoded(see: Any, protocol: Type, kind: Kind) -> None:
    """`data`, as the API server stores it, is read like `stringData`."""
    secret = connection(protocol)
    fields = secret.pop("stringData")
    secret["data"] = {key: base64.b64encode(text.encode()).decode() for key, text in fields.items()}
    assert see(secret, deployed(kind, f"my-{protocol}-connection")).location == LOCATION[protocol]


def test_3_4_using_an_s3_connection_with_an_inference_service(see: Any) -> None:
    seen = see(connection("s3"), applied(deployed("InferenceService", "my-s3-connection"), "s3"))
    assert seen.location == LOCATION["s3"]
    remedy = seen.told('"specified storage key my-s3-connection not found"')["remedy"]
    assert all(label in remedy for label in FOUND), "the chapter's own Secret lacks what KServe finds it by"
    secret = connection("s3")
    secret["metadata"]["labels"] = FOUND
    secret["metadata"]["annotations"][f"{PLATFORM}/connection-type"] = "s3"
    assert see(secret, applied(deployed("InferenceService", "my-s3-connection"), "s3")).problems == []


def test_3_4_using_an_s3_connection_with_an_llm_inference_service(see: Any) -> None:
    seen = see(connection("s3"), applied(deployed("LLMInferenceService", "my-s3-connection"), "s3"))
    assert (seen.location, seen.problems) == (LOCATION["s3"], [])


@BOTH
def test_3_4_using_an_s3_connection_without_its_path(see: Any, kind: Kind) -> None:
    seen = see(connection("s3"), deployed(kind, "my-s3-connection", path=""))
    assert seen.location == ""
    assert "connection-path" in seen.told("no path is named in the bucket")["remedy"]


@BOTH
def test_3_4_using_a_uri_connection(see: Any, kind: Kind) -> None:
    seen = see(connection("uri"), applied(deployed(kind, "my-uri-connection", path=""), "uri"))
    assert (seen.location, seen.problems) == (URI, [])


@BOTH
def test_3_4_using_an_oci_connection(see: Any, kind: Kind) -> None:
    model = applied(deployed(kind, "my-oci-connection", path=""), "oci")
    seen = see(connection("oci"), model)
    assert seen.location == ""
    field = "model.uri" if kind == "LLMInferenceService" else "storageUri"
    assert f"write the image as {field}, oci://" in seen.told("no image is named")["remedy"]
    part = model["spec"]["model"] if kind == "LLMInferenceService" else model["spec"]["predictor"]["model"]
    part["uri" if kind == "LLMInferenceService" else "storageUri"] = "oci://quay.io/my-org/my-model:1"
    seen = see(connection("oci"), model)
    assert (seen.location, seen.problems) == ("oci://quay.io/my-org/my-model:1", [])


@BOTH
@pytest.mark.parametrize("protocol", ["s3", "uri"])
def test_3_4_a_connection_that_the_platform_has_not_taken_over(see: Any, protocol: Type, kind: Kind) -> None:
    seen = see(connection(protocol), deployed(kind, f"my-{protocol}-connection"))
    assert seen.location == LOCATION[protocol]
    assert "add it again" in seen.told("the platform has not applied its connection")["remedy"]
