"""Where a model's files are: all of KServe's forms, and connections."""

from typing import Any

import pytest

from services.normalizer.normalize.connection import Connection, read_connection
from services.normalizer.normalize.kserve_objects import read_isvc, read_llmisvc
from services.normalizer.normalize.result import Normalized, Notes
from services.normalizer.normalize.storage import locate, secret_name
from tests.normalizer.normalize.objects import isvc, model_of, normalized, normalized_deployment

CONNECTED = {"opendatahub.io/connections": "bucket", "opendatahub.io/connection-path": "models/x"}
MODEL_MESH = {"serving.kserve.io/deploymentMode": "ModelMesh"}


def llmisvc(*, uri: str = "", **annotations: str) -> dict[str, Any]:
    metadata = {"name": "qwen", "namespace": "vision", "annotations": annotations}
    return {"kind": "LLMInferenceService", "metadata": metadata, "spec": {"model": {"name": "qwen", "uri": uri}}}


def storage(*, path: str = "", key: str = "", **parameters: str) -> dict[str, Any]:
    fields = {"path": path, "key": key, "parameters": parameters}
    return {"model": {"storage": {name: value for name, value in fields.items() if value}}}


def secret(kind: str = "s3", *, annotations: dict[str, str] | None = None, **fields: str) -> Connection:
    """Return the connection `bucket`, found by KServe unless other annotations are given."""
    if annotations is None:
        annotations = {"opendatahub.io/connection-type-protocol": kind, "opendatahub.io/connection-type": kind}
    labels = {"opendatahub.io/managed": "true", "opendatahub.io/dashboard": "true"}
    obj = {"kind": "Secret", "metadata": {"annotations": annotations, "labels": labels}, "stringData": fields}
    return read_connection(obj, namespace="vision", name="bucket")


def artifact(result: Normalized) -> str | None:
    return model_of(result.document).artifact_location_url


def texts(result: Normalized) -> str:
    return "\n".join(f"{p.object}: {p.message}; {p.remedy}" for p in result.problems)


@pytest.mark.parametrize(
    ("predictor", "url"),
    [
        ({"model": {"storageUri": "hdfs:///data/m"}}, "hdfs:///data/m"),
        ({"model": {"storageUri": "hf://acme/bert:main"}}, "hf://acme/bert:main"),
        ({"model": {"storageUri": "models:/churn/7"}}, "models:/churn/7"),
        ({"model": {"storageUri": "oci://quay.io:5000/m@sha256:01"}}, "oci://quay.io:5000/m@sha256:01"),
        ({"model": {"storageUri": " \n"}, "containers": []}, None),
        ({"model": {"storageUri": "s3://b/my model"}}, "s3://b/my%20model"),
        ({"containers": [{"env": [{"name": "STORAGE_URI", "value": "pvc://cache/"}]}]}, "pvc://cache/"),
        ({"containers": [{"env": [{"name": "STORAGE_URI", "valueFrom": {}}]}]}, None),
        (storage(path="sklearn/iris", key="minio", type="s3", bucket="acme"), "s3://acme/sklearn/iris"),
        (storage(path="/sklearn/iris", key="minio", bucket="acme"), "s3://acme/sklearn/iris"),
        (storage(path="sklearn/iris", type="s3", bucket="acme"), "s3://acme/sklearn/iris"),
        (storage(path="claim/iris", type="pvc"), "pvc://claim/iris"),
        (storage(path="/claim/iris", type="pvc", bucket="nothing"), "pvc://claim/iris"),
        (storage(path="host/iris", type="HDFS"), "hdfs://host/iris"),
        (storage(path="sklearn/iris", key="minio"), None),
        (storage(path="sklearn/iris"), None),
        (storage(key="minio"), None),
        (storage(path="sklearn/iris", key="minio", type="s3"), None),
        (storage(path="sklearn/iris", bucket="acme"), None),
    ],
)
def test_forms_of_a_location(predictor: dict[str, Any], url: str | None) -> None:
    assert artifact(normalized(isvc(predictor=predictor))) == url


@pytest.mark.parametrize(
    ("predictor", "url"),
    [
        (storage(path="iris", type="pvc", name="claim"), "pvc://claim/iris"),
        (storage(path="/iris", type="gcs", bucket="acme"), "gs://acme/iris"),
        (storage(path="iris", key="minio", bucket="acme"), "s3://acme/iris"),
        (storage(path="iris", bucket="acme"), "s3://acme/iris"),
        (storage(path="iris", key="minio"), None),
    ],
)
def test_in_model_mesh_the_parameters_name_the_bucket(predictor: dict[str, Any], url: str | None) -> None:
    assert artifact(normalized(isvc(predictor=predictor, annotations=MODEL_MESH))) == url


def test_of_several_locations_the_first_is_shown_and_the_others_are_reported() -> None:
    uris = [{"uri": "hf://acme/base"}, {"uri": "s3://acme/lora"}, {"uri": ""}]
    for predictor in ({"storageUris": uris, "model": {}}, {"model": {"storageUris": uris}}):
        result = normalized(isvc(predictor=predictor))
        assert artifact(result) == "hf://acme/base"
        assert "2 storage locations" in texts(result)


@pytest.mark.parametrize(
    ("predictor", "words"),
    [
        (storage(path="models/x", key="minio"), "path models/x in the bucket of connection minio"),
        (storage(path="models/x"), "path models/x in KServe's default bucket"),
        (storage(key="minio"), ""),
    ],
)
def test_a_bucket_that_no_one_names_is_said_in_words(predictor: dict[str, Any], words: str) -> None:
    assert normalized(isvc(predictor=predictor)).details.location == words


@pytest.mark.parametrize(
    ("predictor", "told"),
    [
        ({"model": {"storageUri": "s3://b/p", "storage": {"path": "p"}}}, "remove one of them"),
        (storage(path="x", key="minio", type="s3"), "name the bucket in storage.parameters"),
        (storage(path="x", bucket="acme"), "add type: s3"),
        (storage(key="minio"), "name the path in storage.path"),
        ({"model": {"storageUri": "bucket/path"}}, "write it with a scheme"),
        ({"model": {"storageUri": "https://u:CANARY@e.com/m"}}, "give them to KServe by a Secret"),
    ],
)
def test_what_is_wrong_is_reported_with_a_remedy(predictor: dict[str, Any], told: str) -> None:
    result = normalized(isvc(predictor=predictor))
    assert [problem.severity for problem in result.problems] == ["warning"]
    assert told in texts(result)
    assert "CANARY" not in texts(result)


# --- connections: "Using connections", section 3.4, with the right to read the Secret


@pytest.mark.parametrize("obj", [isvc(annotations=CONNECTED), llmisvc(**CONNECTED)])
def test_an_s3_connection_that_the_platform_has_not_applied(obj: dict[str, Any]) -> None:
    facts = (read_llmisvc if obj["kind"] == "LLMInferenceService" else read_isvc)(obj | without_uri(obj))
    result = normalized_deployment(facts, connection=secret(AWS_S3_BUCKET="acme", AWS_S3_ENDPOINT="https://minio"))
    assert artifact(result) == "s3://acme/models/x"
    assert (result.details.connection, result.details.connection_type) == ("bucket", "s3")
    assert "has not applied its connection bucket" in texts(result)


def without_uri(obj: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"predictor": {"model": {}}}} if obj["kind"] == "InferenceService" else {}


@pytest.mark.parametrize("scheme", ["https://e.com/m", "hf://acme/m", "pvc://claim/m", "oci://quay.io/acme/m:1"])
def test_a_uri_connection(scheme: str) -> None:
    facts = read_llmisvc(llmisvc(**CONNECTED))
    assert artifact(normalized_deployment(facts, connection=secret("uri", URI=scheme))) == scheme


def test_an_oci_connection_gives_access_only() -> None:
    facts = read_llmisvc(llmisvc(**CONNECTED))
    result = normalized_deployment(facts, connection=secret("oci", OCI_HOST="quay.io/acme"))
    assert artifact(result) is None
    assert "write the image as model.uri" in texts(result)


def test_a_path_in_the_bucket_of_a_connection() -> None:
    facts = read_isvc(isvc(predictor=storage(path="/models/x", key="bucket"), annotations=CONNECTED))
    result = normalized_deployment(facts, connection=secret(AWS_S3_BUCKET="acme"))
    assert artifact(result) == "s3://acme/models/x"
    assert (result.details.location, texts(result)) == ("", "")


@pytest.mark.parametrize(
    ("connection", "told"),
    [
        (Connection(namespace="vision", name="bucket", state="missing"), "there is no Secret of this name"),
        (Connection(namespace="vision", name="bucket", state="forbidden"), "allow the connector to get this Secret"),
        (secret("ftp"), "none of s3, uri and oci (it says 'ftp')"),
        (secret(annotations={}), "removes the model's location"),
        (secret(annotations={"opendatahub.io/connection-type-ref": "uri"}), "none of s3, uri and oci"),
        (secret(annotations={"opendatahub.io/connection-type-ref": "uri-v1"}, URI="s3://b/x"), "deprecated annotation"),
        (secret(AWS_S3_BUCKET=" "), "set its field AWS_S3_BUCKET"),
        (secret("uri"), "set its field URI"),
        (
            secret(annotations={"opendatahub.io/connection-type-protocol": "s3"}, AWS_S3_BUCKET="b"),
            'labels opendatahub.io/managed and opendatahub.io/dashboard to "true"',
        ),
    ],
)
def test_what_is_wrong_with_a_connection_is_reported_of_it_once(connection: Connection, told: str) -> None:
    first, second = (isvc(name=name, predictor={"model": {}}, annotations=CONNECTED) for name in ("a", "b"))
    problems = [set(normalized_deployment(read_isvc(obj), connection=connection).problems) for obj in (first, second)]
    shared = problems[0] & problems[1]
    assert any(told in f"{p.message}; {p.remedy}" and p.object == "connection vision/bucket" for p in shared)


def test_the_chapters_own_secret_serves_an_llm() -> None:
    connection = secret(annotations={"opendatahub.io/connection-type-protocol": "s3"}, AWS_S3_BUCKET="b")
    result = normalized_deployment(read_llmisvc(llmisvc(**CONNECTED)), connection=connection)
    assert "managed" not in texts(result)


@pytest.mark.parametrize("name", ["a,b", "other/bucket", "My Bucket"])
def test_several_connections_or_another_namespace_are_refused(name: str) -> None:
    facts = read_isvc(isvc(annotations={"opendatahub.io/connections": name}))
    assert secret_name(facts.storage) == ""
    assert "name one connection of the same namespace" in texts(normalized_deployment(facts))


def test_a_key_of_ones_own_storage_configuration_is_no_missing_connection() -> None:
    facts = read_isvc(isvc(predictor=storage(path="x", key="minio")))
    missing = Connection(namespace="vision", name="minio", state="missing")
    assert texts(normalized_deployment(facts, connection=missing)) == ""


def test_a_path_that_is_missing_is_reported() -> None:
    facts = read_llmisvc(llmisvc(**{"opendatahub.io/connections": "bucket"}))
    result = normalized_deployment(facts, connection=secret(AWS_S3_BUCKET="b"))
    assert "opendatahub.io/connection-path" in texts(result)


@pytest.mark.parametrize(
    ("uri", "told"), [("https://e.com/old", True), ("https://e.com/new", False), ("https://e.com/new/", False)]
)
def test_a_connection_that_changed_needs_another_deployment(uri: str, told: bool) -> None:
    facts = read_isvc(isvc(predictor={"model": {"storageUri": uri}}, annotations=CONNECTED))
    result = normalized_deployment(facts, connection=secret("uri", URI="https://u:CANARY@e.com/new"))
    assert artifact(result) == uri
    assert ("deploy it again" in texts(result)) is told
    assert "CANARY" not in texts(result)


def test_the_metadata_of_a_secret_are_enough_for_type_and_name() -> None:
    obj = {
        "kind": "PartialObjectMetadata",
        "metadata": {
            "annotations": {
                "opendatahub.io/connection-type-protocol": "uri",
                "openshift.io/display-name": "Bucket of the mail room",
                "kubectl.kubernetes.io/last-applied-configuration": "CANARY",
            }
        },
    }
    connection = read_connection(obj, namespace="vision", name="bucket")
    assert (connection.state, connection.type, connection.title) == ("typed", "uri", "Bucket of the mail room")
    facts = read_isvc(isvc(predictor={"model": {}}, annotations=CONNECTED))
    result = normalized_deployment(facts, connection=connection)
    assert (result.details.connection_type, result.details.connection_title) == ("uri", "Bucket of the mail room")
    assert (artifact(result), texts(result)) == (None, "")
    assert "CANARY" not in repr((connection, result))


@pytest.mark.parametrize("data", [{"URI": "%%%"}, {"URI": 7}, {"URI": "/w=="}, "x", None])
def test_fields_that_cannot_be_read_count_as_absent(data: Any) -> None:
    connection = read_connection({"kind": "Secret", "metadata": {}, "data": data}, namespace="v", name="n")
    assert connection.uri == ""


def test_plain_fields_of_a_manifest_go_before_encoded_ones() -> None:
    obj = {"kind": "Secret", "stringData": {"URI": "s3://new/x"}, "data": {"URI": "czM6Ly9vbGQveA=="}}
    assert read_connection(obj, namespace="v", name="n").uri == "s3://new/x"


def test_the_place_is_found_without_a_deployment_too() -> None:
    facts = read_isvc(isvc(predictor=storage(path="x", key="minio")))
    assert locate(facts.storage, Notes("x")).words == "path x in the bucket of connection minio"


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("htps://e.com/m", "https://"), ("s4://b/m", "s3://"), ("S3://b/m", "s3://"), ("gcs://b/m", "gs://"),
        ("hdf://b/m", "hdfs://"), ("pvcs://b/m", "pvc://"), ("ocl://e.com/m", "oci://"),
        ("abfss://c@a.dfs.core.windows.net/m", ""), ("wasbs://c@a.blob.core.windows.net/m", ""), ("ftp://e.com/m", ""),
        ("git://e.com/m", ""), ("dbfs:/m", ""), ("ms://a/m", ""),
    ],
)  # fmt: skip
def test_a_scheme_that_kserve_does_not_fetch_is_reported(uri: str, meant: str) -> None:
    result = normalized(isvc(predictor={"model": {"storageUri": uri}}))
    (problem,) = result.problems
    assert artifact(result) == uri
    assert (problem.id, problem.severity) == ("storage_scheme_unknown", "info")
    assert problem.message.endswith(f"did you mean {meant}?" if meant else "(storageUri)")
    assert "ClusterStorageContainer" in problem.remedy


@pytest.mark.parametrize(
    "uri",
    [
        "gs://b/m", "s3://b/m", "hdfs://h/m", "webhdfs://h/m", "pvc://claim/m", "file:///m", "hf://acme/m",
        "http://e.com/m", "https://a.blob.core.windows.net/c/m", "oci://quay.io/acme/m:1", "model-registry://m/1",
        "models:/m/1",
    ],
)  # fmt: skip
def test_a_scheme_that_kserve_or_a_usual_container_fetches_is_not_reported(uri: str) -> None:
    assert normalized(isvc(predictor={"model": {"storageUri": uri}})).problems == ()


@pytest.mark.parametrize(("uri", "told"), [("htps://e.com/m", True), ("https://e.com/m", False), ("hf://a/m", False)])
def test_for_an_llm_a_container_is_no_way_out(uri: str, told: bool) -> None:
    problems = normalized(llmisvc(uri=uri)).problems
    assert [problem.id for problem in problems] == ["storage_scheme_unknown"] * told
    assert all("model.uri" in p.message and "ClusterStorageContainer" not in p.remedy for p in problems)


def test_a_path_without_a_scheme_is_reported() -> None:
    (problem,) = normalized(isvc(predictor={"model": {"storageUri": "/mnt/models/m"}})).problems
    assert problem.id == "invalid_url"
