"""Whatever an API admits becomes a valid document or a recorded problem."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.catalog import CatalogDocument
from common.problems import Problem
from services.normalizer.normalize.addresses import resolve
from services.normalizer.normalize.connection import read_connection, readable_part
from services.normalizer.normalize.deployment import Belongings, Deployment, read_service, read_service_account
from services.normalizer.normalize.document import normalize_deployment, server_facts
from services.normalizer.normalize.kserve_objects import read_isvc, read_llmisvc
from services.normalizer.normalize.linking import RegistryIndex, link
from services.normalizer.normalize.owners import parse_owner
from services.normalizer.normalize.registered_version import Registry, catalog_model, joined, readme_card
from services.normalizer.normalize.registry import normalize_version
from services.normalizer.normalize.registry_objects import (
    Item,
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    ServingEnvironment,
    parse_item,
)
from services.normalizer.normalize.result import Defaults, Normalized, kubernetes_segment, segment
from services.normalizer.normalize.storage import secret_name
from tests.normalizer.normalize import strategies
from tests.normalizer.normalize.objects import normalized_deployment
from tests.normalizer.normalize.registries import registered

Reader = Callable[[Mapping[str, Any]], Deployment]

SEGMENT = re.compile(r"[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?\Z")


def check(result: Normalized) -> None:
    document = result.document
    assert CatalogDocument.decode(document.encode()) == document
    assert all(map(SEGMENT.match, result.segments))
    assert all(problem.object and problem.message and problem.remedy for problem in result.problems)
    assert result.created >= 0


@settings(max_examples=300)
@given(
    st.one_of(
        st.tuples(st.just(read_isvc), strategies.isvcs()), st.tuples(st.just(read_llmisvc), strategies.llmisvcs())
    ),
    st.lists(strategies.services, max_size=2),
    st.builds(Defaults, strategies.texts, strategies.texts),
    st.booleans(),
    strategies.secrets(),
)
def test_every_deployment_becomes_a_valid_document(
    read: tuple[Reader, Any], others: list[dict[str, Any]], defaults: Defaults, planned: bool, secret: dict[str, Any]
) -> None:
    reader, raw = read
    deployment = replace(reader(raw), planned=planned)
    assert deployment == replace(reader(raw), planned=planned)
    services = [read_service(other) for other in others]
    result = normalize_deployment(
        deployment,
        cluster="local",
        source="isvc:local",
        own=Belongings(
            services=services,
            service_accounts=[read_service_account(other) for other in others],
            connection=read_connection(secret, namespace=deployment.namespace, name=secret_name(deployment.storage)),
        ),
        defaults=defaults,
    )
    check(result)
    assert deployment.readiness.ready == (not deployment.readiness.reason)
    reached = resolve(deployment, services)
    assert (result.document.model_server is not None) == (not planned and bool(reached.external or reached.internal))
    assert all(result.details.names)


CANARY = "CANARY"
leaking = st.sampled_from(
    [
        "https://user:CANARY@models.example.com/m.onnx",
        "https://CANARY@models.example.com/m.onnx",
        "https://acme.blob.example.com/m?sv=1&sig=CANARY",
        "https://minio.example.com/b/m?X-Amz-Credential=CANARY&X-Amz-Signature=CANARY",
        "s3://KEY:CANARY@bucket/m",
        "models:/m/1?token=CANARY",
        "see https://user:CANARY@wiki.example.com/m for more",
    ]
)


@settings(max_examples=300)
@given(
    st.one_of(
        st.tuples(st.just(read_isvc), strategies.isvcs(leaking)),
        st.tuples(st.just(read_llmisvc), strategies.llmisvcs(leaking)),
    ),
    strategies.secrets(leaking),
)
def test_no_credential_leaves_in_any_field(read: tuple[Reader, Any], secret: dict[str, Any]) -> None:
    reader, raw = read
    deployment = reader(raw)
    connection = read_connection(secret, namespace=deployment.namespace, name=secret_name(deployment.storage))
    assert CANARY not in repr(connection)
    assert readable_part(secret) == readable_part(readable_part(secret))
    kept = read_connection(readable_part(secret), namespace=deployment.namespace, name=connection.name)
    assert kept == connection
    result = normalized_deployment(deployment, connection=connection)
    for text in (result.document.encode().decode(), result.details.encode().decode(), repr(result.problems)):
        assert CANARY not in text, text
    assert CANARY not in str(deployment.readiness)


@given(strategies.secrets())
def test_nothing_is_kept_of_a_secret_but_what_is_read(secret: dict[str, Any]) -> None:
    assert strategies.UNREAD not in repr(readable_part(secret))
    assert strategies.UNREAD not in repr(read_connection(secret, namespace="models", name="bucket"))


def parse(kind: type[Item], raw: dict[str, Any]) -> Item:
    item = parse_item(kind, raw, registry="public")
    assert isinstance(item, kind), item
    return item


names = st.sampled_from(["granite", "模型", "..."]) | st.text(min_size=1, max_size=90).filter(
    lambda text: any(character.isalnum() for character in text)
)
ids = st.sampled_from(["1", "10", "x"])


@settings(max_examples=300)
@given(
    strategies.items(id=ids, name=names),
    strategies.items(id=ids, name=names, registeredModelId=ids),
    st.lists(strategies.items(id=ids), max_size=3),
    strategies.isvcs(),
    strategies.texts,
)
def test_every_version_becomes_a_valid_document(
    raw_model: dict[str, Any],
    raw_version: dict[str, Any],
    raw_artifacts: list[dict[str, Any]],
    raw_isvc: dict[str, Any],
    record: str,
) -> None:
    model, version = parse(RegisteredModel, raw_model), parse(ModelVersion, raw_version)
    artifacts = [parse(ModelArtifact, raw) for raw in raw_artifacts]
    registry = Registry("r1")
    readme = readme_card(registry.id, model)
    card = catalog_model(artifacts) or readme
    result = normalize_version(
        joined(registry.id, model, version, tuple(artifacts[::-1])),
        registry=registry,
        server=server_facts(read_isvc(raw_isvc)),
        registry_isvc_name=record,
        card=card.key if card else "",
        defaults=Defaults(),
    )
    check(result)
    assert result.document.models[0].description


@given(
    st.lists(strategies.items(id=ids, name=names), max_size=3),
    st.lists(strategies.items(id=ids, name=names, registeredModelId=ids), max_size=3),
    st.lists(strategies.items(id=ids, name=strategies.small, registeredModelId=ids), max_size=3),
    strategies.isvcs(),
)
def test_a_link_is_to_a_live_version(
    models: list[dict[str, Any]],
    versions: list[dict[str, Any]],
    records: list[dict[str, Any]],
    raw_isvc: dict[str, Any],
) -> None:
    index = RegistryIndex.build(
        Registry("r1", "public"),
        registered(
            "r1",
            models=[parse(RegisteredModel, raw) for raw in models],
            versions=[parse(ModelVersion, raw) for raw in versions],
            records=[parse(RegistryInferenceService, raw) for raw in records],
            environments=[parse(ServingEnvironment, {"id": "1", "name": "vision"})],
        ).values(),
    )
    found = link(read_isvc(raw_isvc), [index])
    assert found.version is None or found.version in index.live.values()


@given(strategies.junk, st.sampled_from([RegisteredModel, ModelVersion, ModelArtifact, RegistryInferenceService]))
def test_every_item_is_an_object_or_a_problem(raw: Any, kind: type[Any]) -> None:
    assert isinstance(parse_item(kind, raw, registry="public"), kind | Problem)


@given(st.text() | strategies.texts)
def test_segments_are_never_empty(text: str) -> None:
    for found in (segment(text), kubernetes_segment(text)):
        assert SEGMENT.match(found)
        assert found == segment(text) or found == text


@pytest.mark.parametrize(
    "written", ["https://u:CANARY@x.example.com", "models:/m/1?token=CANARY", "mlflow:/x?sig=CANARY"]
)
def test_an_address_owns_nothing(written: str) -> None:
    assert parse_owner(written) is None
