"""Objects as an API might admit them: plausible ones with hostile texts, and with anything at any place."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from services.normalizer.normalize.isvc import AUTH_ANNOTATION
from services.normalizer.normalize.predictor import FRAMEWORKS
from services.normalizer.normalize.profile import ANNOTATION_PREFIX, FIELDS
from services.normalizer.normalize.readiness import STOP_ANNOTATION
from services.normalizer.normalize.registry import PROPERTIES

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
metadata = objects(
    name=small | texts,
    namespace=small | texts,
    uid=small,
    creationTimestamp=texts,
    deletionTimestamp=texts,
    labels=keyed(registry_labels, small | texts),
    annotations=keyed([AUTH_ANNOTATION, STOP_ANNOTATION, *(ANNOTATION_PREFIX + field for field in FIELDS)], texts),
    ownerReferences=owner_references,
)
framework = objects(
    modelFormat=objects(name=texts, version=texts),
    runtime=texts,
    storageUri=texts,
    storage=objects(path=texts, key=texts),
)
predictor = objects(
    model=framework,
    containers=lists(objects(env=lists(objects(name=st.just("STORAGE_URI"), value=texts)))),
    workerSpec=junk,
    canaryTrafficPercent=st.integers(),
    **dict.fromkeys(FRAMEWORKS[:3], framework),
)
isvcs = objects(
    metadata=metadata,
    spec=objects(predictor=predictor, transformer=junk, explainer=junk),
    status=objects(
        url=texts,
        address=objects(url=texts),
        conditions=lists(objects(type=st.sampled_from(["Ready", "PredictorReady"]), status=texts, message=texts)),
        modelStatus=objects(transitionStatus=st.sampled_from(["UpToDate", "InProgress", ""])),
    ),
)
services = objects(
    metadata=metadata, spec=objects(ports=lists(objects(port=st.integers(), targetPort=st.integers() | texts)))
)

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
