"""Objects as an API might admit them: plausible ones with hostile texts, and with anything at any place."""

import base64
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from common.annotations import NAME_ANNOTATION
from services.normalizer.normalize.connection import CONNECTIONS_ANNOTATION, PATH_ANNOTATION
from services.normalizer.normalize.kserve_objects import FRAMEWORKS
from services.normalizer.normalize.profile import FIELDS
from services.normalizer.normalize.readiness import STOP_ANNOTATION
from services.normalizer.normalize.registry import PROPERTIES
from services.normalizer.normalize.stated import ANNOTATION_PREFIX, AUTH_ANNOTATION, SUCCESSOR_PREFIX

HOSTILE = [
    "../..", "a/b", "%2f", "x" * 300, "-x-", "a--b", "Grün", "模型", "\x00", "a\r\nb", "\ud800", "&<>\"'", "${x}",
    "group:default/ml-team", "user:", "jane@example.com", "@", "apache-2.0", "llama3", "see the wiki", "Note: no",
    "https://example.com/a b", "https://", "http://[::1", "http://a:99999", "s3://b/ü", "javascript:alert(1)",
    "http://mnist-predictor.vision.svc.cluster.local:8080/v1", "https://Ünïcode.example", "http://xn--/", "true",
    "openapi", "LIVE", "DEPLOYED", "1", "10", "2025-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9" * 30,
]  # fmt: skip

texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=90))
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def loose(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what the strategy gives, sometimes anything."""
    return st.integers(0, 9).flatmap(lambda n: strategy if n else junk)


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object in which every field may be absent or hold anything."""
    return st.fixed_dictionaries({}, optional={key: loose(value) for key, value in fields.items()})


def lists(item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(loose(item), max_size=3)


def keyed(names: list[str], value: st.SearchStrategy[Any]) -> st.SearchStrategy[Mapping[str, Any]]:
    return st.dictionaries(st.sampled_from(names) | texts, loose(value), max_size=6)


small = st.sampled_from(["1", "10", "mnist", "vision"])
owner_references = lists(objects(kind=st.just("InferenceService"), name=small, uid=small))
registry_labels = [
    f"{family}/{label}"
    for family in ("modelregistry.opendatahub.io", "modelregistry.kubeflow.org")
    for label in ("registered-model-id", "model-version-id", "inference-service-id", "name", "namespace")
]
annotation_keys = [
    AUTH_ANNOTATION,
    STOP_ANNOTATION,
    NAME_ANNOTATION,
    CONNECTIONS_ANNOTATION,
    PATH_ANNOTATION,
    "openshift.io/display-name",
    "openshift.io/description",
    "opendatahub.io/model-type",
    "rhdh.io/model-a",
    "rhdh.io/catalog-source",
    "rhdh.io/catalog-model",
    *(f"{prefix}{field}" for prefix in (ANNOTATION_PREFIX, SUCCESSOR_PREFIX) for field in sorted(FIELDS)),
]


def metadata(text: st.SearchStrategy[Any] = texts) -> st.SearchStrategy[Any]:
    """Metadata with any `text` in its annotations; names and labels are short words or hostile, as of no API server."""
    return objects(
        name=small | texts,
        namespace=small | texts,
        uid=small,
        creationTimestamp=text,
        deletionTimestamp=text,
        labels=keyed(registry_labels, small | texts),
        annotations=keyed(annotation_keys, text),
        ownerReferences=owner_references,
    )


def isvcs(text: st.SearchStrategy[Any] = texts) -> st.SearchStrategy[Any]:
    """InferenceServices with any `text` in their fields."""
    container = objects(
        name=st.sampled_from(["kserve-container", "transformer-container"]) | text,
        image=text,
        args=lists(st.sampled_from(["--served-model-name", "--model_name={{.Name}}", "--task=embed"]) | text),
        env=lists(objects(name=st.sampled_from(["STORAGE_URI", "MODEL_NAME"]), value=text)),
    )
    framework = objects(
        modelFormat=objects(name=text, version=text),
        runtime=text,
        protocolVersion=st.sampled_from(["v1", "v2", "grpc-v2"]) | text,
        args=lists(text),
        storageUri=text,
        storageUris=lists(objects(uri=text)),
        storage=objects(
            path=text, key=text, parameters=objects(type=st.sampled_from(["s3", "pvc"]) | text, bucket=text, name=text)
        ),
    )
    predictor = objects(
        model=framework,
        containers=lists(container),
        imagePullSecrets=lists(objects(name=text)),
        workerSpec=junk,
        canaryTrafficPercent=st.integers(),
        **dict.fromkeys(FRAMEWORKS[:3], framework),
    )
    status = objects(
        url=text,
        address=objects(url=text),
        conditions=lists(objects(type=st.sampled_from(["Ready", "PredictorReady"]), status=text, message=text)),
        modelStatus=objects(
            transitionStatus=st.sampled_from(["UpToDate", "InProgress", "BlockedByFailedLoad", ""]),
            lastFailureInfo=objects(message=text),
        ),
        servingRuntimeName=text,
    )
    spec = objects(predictor=predictor, transformer=objects(containers=lists(container)), explainer=junk)
    return objects(metadata=metadata(text), spec=spec, status=status)


def llmisvcs(text: st.SearchStrategy[Any] = texts) -> st.SearchStrategy[Any]:
    """LLMInferenceServices with any `text` in their fields."""
    model = objects(uri=text, name=text, lora=objects(adapters=lists(objects(name=text, uri=text))))
    address = objects(name=text, url=text, models=lists(objects(name=text)))
    status = objects(
        url=text,
        addresses=lists(address),
        conditions=lists(objects(type=st.just("Ready"), status=text, message=text)),
    )
    template = objects(imagePullSecrets=lists(objects(name=text)))
    return objects(metadata=metadata(text), spec=objects(model=model, template=template), status=status)


services = objects(
    metadata=metadata(),
    spec=objects(
        type=st.sampled_from(["ClusterIP", "ExternalName"]),
        clusterIP=st.sampled_from(["None", "10.0.0.1"]),
        ports=lists(objects(name=texts, appProtocol=texts, port=st.integers(), targetPort=st.integers() | texts)),
    ),
)


UNREAD = "CANARY-of-what-is-not-read"
_READABLE = ("AWS_S3_BUCKET", "URI", "https-host")
_TELLING = tuple(
    f"opendatahub.io/{name}" for name in ("connection-type-protocol", "connection-type-ref", "connection-type")
)


def _with_unread(said: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Add keys that no one may read: those of credentials, what kubectl keeps, any others, and near misses."""
    likely = ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", ".dockerconfigjson", "uri", "aws_s3_bucket", "URI "]
    applied = ["kubectl.kubernetes.io/last-applied-configuration"]
    others = st.text(max_size=20).filter(lambda key: key not in _READABLE)
    unread = st.lists(st.sampled_from(likely + applied) | others, min_size=1, max_size=4)
    return st.tuples(said, unread).map(lambda parts: dict.fromkeys(parts[1], UNREAD) | parts[0])


def secrets(text: st.SearchStrategy[Any] = texts) -> st.SearchStrategy[Any]:
    """Secrets of connections with any `text` in the fields that may be read, encoded or plain; others have `UNREAD`."""
    said = st.dictionaries(st.sampled_from(_READABLE), loose(text), max_size=4)
    encoded = said.map(lambda fields: {key: _encoded(value) for key, value in fields.items()})
    kinds = st.sampled_from(["s3", "uri", "oci", "uri-v1"]) | text
    annotations = st.fixed_dictionaries(
        {}, optional={**dict.fromkeys(_TELLING, kinds), "openshift.io/display-name": text}
    )
    labels = st.dictionaries(st.sampled_from(["opendatahub.io/managed", "opendatahub.io/dashboard"]), text)
    return _with_unread(
        st.fixed_dictionaries(
            {
                "metadata": _with_unread(
                    st.fixed_dictionaries({"annotations": _with_unread(annotations), "labels": _with_unread(labels)})
                ),
                "data": loose(_with_unread(encoded)),
                "stringData": loose(_with_unread(said)),
            }
        )
    )


def _encoded(value: object) -> object:
    return base64.b64encode(value.encode("utf-8", "replace")).decode() if isinstance(value, str) else value


typed_values = objects(
    metadataType=st.sampled_from(["MetadataStringValue", "MetadataIntValue", "MetadataFutureValue"]),
    string_value=texts,
    int_value=texts,
)
properties = keyed([*PROPERTIES.values(), "Provider", "_lastModified", "rhdh.modelcatalog.io/model-name"], typed_values)
registry_items = objects(
    description=texts,
    createTimeSinceEpoch=texts,
    lastUpdateTimeSinceEpoch=texts,
    customProperties=properties,
    state=st.sampled_from(["LIVE", "ARCHIVED"]) | texts,
    owner=texts,
    language=lists(texts),
    tasks=lists(texts),
    libraryName=texts,
    license=texts,
    licenseLink=texts,
    maturity=texts,
    provider=texts,
    readme=texts,
    artifactType=st.sampled_from(["model-artifact", "doc-artifact"]) | texts,
    uri=texts,
    modelSourceClass=texts,
    modelSourceGroup=texts,
    modelSourceName=texts,
    modelVersionId=small,
    servingEnvironmentId=small,
    desiredState=st.sampled_from(["DEPLOYED", "UNDEPLOYED"]),
)


def items(**identity: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A registry's object with the fields that make it usable, and any others."""
    return st.tuples(registry_items, st.fixed_dictionaries(identity)).map(
        lambda parts: {**(parts[0] if isinstance(parts[0], dict) else {}), **parts[1]}
    )
