"""Which registered version an InferenceService serves."""

from dataclasses import replace

import pytest

from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.linking import Link, RegistryIndex, choose_server, link
from services.normalizer.normalize.readiness import Readiness
from services.normalizer.normalize.registered_version import Registry
from services.normalizer.normalize.registry_objects import RegistryInferenceService
from tests.normalizer.normalize.objects import isvc
from tests.normalizer.normalize.registries import index, labelled, model, record, version

V1 = Ref.version("r1", "1", "10")
OTHER = Registry("r2", "private", "registries")


def plain(name: str = "mnist", namespace: str = "vision") -> Deployment:
    return read_isvc(isvc(name=name, namespace=namespace))


@pytest.mark.parametrize("family", ["modelregistry.opendatahub.io", "modelregistry.kubeflow.org"])
def test_labels_of_both_families(family: str) -> None:
    assert link(labelled(family, registered_model_id="1", model_version_id="10"), [index()]) == Link(V1)
    assert str(V1) == "registry:r1:1:10"


@pytest.mark.parametrize(
    "labels",
    [
        {"registered_model_id": "1", "model_version_id": "11"},
        {"registered_model_id": "2", "model_version_id": "10"},
        {"registered_model_id": "2", "inference_service_id": "5"},
        {"registered_model_id": "2"},
        {"inference_service_id": "6"},
    ],
)
def test_labels_that_name_nothing_live(labels: dict[str, str]) -> None:
    found = link(labelled(**labels), [index(records=[record()])])
    assert found.version is None
    assert [problem.severity for problem in found.problems] == ["info"]
    assert link(labelled(**labels), []) == Link()


@pytest.mark.parametrize("family", ["modelregistry.opendatahub.io", "modelregistry.kubeflow.org"])
def test_a_remedy_names_the_labels_that_were_written(family: str) -> None:
    (gone,) = link(labelled(family, registered_model_id="7"), [index()]).problems
    assert f"correct the labels {family}/…" in gone.remedy
    (ambiguous,) = link(labelled(family, registered_model_id="1"), [index(), index(OTHER)]).problems
    assert f"with the labels {family}/registered-model-id" in ambiguous.remedy


@pytest.mark.parametrize(
    "archived",
    [index(models=[model(state="ARCHIVED")]), index(versions=[version(state="ARCHIVED")]), index(models=[])],
)
def test_what_is_archived_is_not_linked(archived: RegistryIndex) -> None:
    assert link(labelled(registered_model_id="1", model_version_id="10"), [archived]).version is None


def test_label_of_the_registrys_own_record() -> None:
    found = link(labelled(inference_service_id="5"), [index(records=[record(name="any")])])
    assert (found.version, found.record) == (V1, "any")
    undeployed = index(records=[record(desiredState="UNDEPLOYED")])
    assert link(labelled(inference_service_id="5"), [undeployed]).version is None


def test_labels_go_before_records_and_take_the_records_name() -> None:
    registry = index(
        versions=[version(), version(id="11", name="v2")],
        records=[record(modelVersionId="11"), record(id="6", name="mnist/uid", modelVersionId="10")],
    )
    assert link(labelled(registered_model_id="1", model_version_id="10"), [registry]) == Link(V1, "mnist/uid")
    assert link(plain(), [registry]).version == Ref.version("r1", "1", "11")


@pytest.mark.parametrize("record_id", [{}, {"inference_service_id": "404"}])
def test_label_of_the_model_alone_means_its_newest_live_version(record_id: dict[str, str]) -> None:
    versions = [
        version(createTimeSinceEpoch="100"),
        version(id="11", name="v2", createTimeSinceEpoch="200"),
        version(id="12", name="v3", createTimeSinceEpoch="300", state="ARCHIVED"),
    ]
    labels = {"registered_model_id": "1"} | record_id
    assert link(labelled(**labels), [index(versions=versions)]) == Link(Ref.version("r1", "1", "11"))
    recorded = index(versions=versions, records=[record(modelVersionId="10")])
    assert link(labelled(registered_model_id="1", inference_service_id="5"), [recorded]) == Link(V1, "mnist")


def by_uri(uri: str, **labels: str) -> Deployment:
    return read_isvc(isvc(predictor={"model": {"storageUri": uri}}, labels=labels))


NAMED = index(
    models=[model(), model(id="2", name="acme/llama"), model(id="3", name="Old One", state="ARCHIVED")],
    versions=[
        version(createTimeSinceEpoch="100"),
        version(id="11", name="v 2", createTimeSinceEpoch="200"),
        version(id="20", name="v1", registeredModelId="2"),
        version(id="30", name="v1", registeredModelId="3"),
    ],
)


@pytest.mark.parametrize(
    ("uri", "model_id", "version_id"),
    [
        ("model-registry://granite/v1", "1", "10"),
        ("model-registry://granite", "1", "11"),
        ("model-registry://granite/", "1", "11"),
        ("model-registry://granite/v%202", "1", "11"),
        ("model-registry://registry.example.com:8080/granite", "1", "11"),
        ("model-registry://registry.example.com:8080/granite/v1", "1", "10"),
        ("model-registry://acme/llama", "2", "20"),
        ("model-registry://acme/llama/v1", "2", "20"),
    ],
)
def test_storage_uri_of_the_registry(uri: str, model_id: str, version_id: str) -> None:
    assert link(by_uri(uri), [NAMED]) == Link(Ref.version("r1", model_id, version_id))


@pytest.mark.parametrize("path", ["granite/v9", "unheard-of", "Old%20One", "host/granite/v9", "a/b/c/d"])
def test_storage_uri_that_names_nothing_live_is_reported(path: str) -> None:
    found = link(by_uri(f"model-registry://{path}"), [NAMED])
    assert found.version is None
    assert [problem.severity for problem in found.problems] == ["info"]
    assert "its storage URI" in found.problems[0].remedy


def test_host_of_the_storage_uri_says_which_registry() -> None:
    indexes = [index(), index(OTHER)]
    for host, registry in (("public.registries.svc:8080", "r1"), ("private.registries.svc.cluster.local", "r2")):
        assert link(by_uri(f"model-registry://{host}/granite/v1"), indexes) == Link(Ref.version(registry, "1", "10"))
    assert link(by_uri("model-registry://elsewhere/granite/v1"), indexes).problems


def test_what_is_fetched_goes_before_labels() -> None:
    labels = {"modelregistry.opendatahub.io/registered-model-id": "2"}
    assert link(by_uri("model-registry://granite/v1", **labels), [NAMED]).version == V1
    assert link(by_uri("model-registry://unheard-of", **labels), [NAMED]).version == Ref.version("r1", "2", "20")


IDS = {"registered_model_id": "1", "model_version_id": "10"}


@pytest.mark.parametrize(
    ("labels", "registry"),
    [
        ({"name": "public"}, "r1"),
        ({"name": "private"}, "r2"),
        ({"name": "private", "namespace": "registries"}, "r2"),
        ({"name": "private", "namespace": "elsewhere"}, None),
        ({"name": "unheard-of"}, None),
    ],
)
def test_registry_is_found_by_its_name(labels: dict[str, str], registry: str | None) -> None:
    indexes = [index(), index(OTHER)]
    for order in (indexes, indexes[::-1]):
        found = link(labelled(**IDS, **labels), order)
        assert found.version == (Ref.version(registry, "1", "10") if registry else None)
        assert bool(found.problems) == (registry is None)


def test_registry_without_a_name_may_be_the_one_meant() -> None:
    nameless = index(Registry("https://registry.example.com"))
    found = link(labelled(**IDS, name="unheard-of"), [index(), nameless])
    assert found == Link(Ref.version("https://registry.example.com", "1", "10"))
    assert link(labelled(**IDS, name="public"), [nameless, index()]) == Link(V1)


def test_ids_alone_are_enough_when_one_registry_has_them() -> None:
    assert link(labelled(**IDS), [index(OTHER, versions=[]), index()]) == Link(V1)


def test_ids_of_several_registries_are_decided_and_told() -> None:
    indexes = [index(OTHER), index()]
    for order in (indexes, indexes[::-1]):
        found = link(labelled(**IDS), order)
        assert found.version == V1
        assert [problem.severity for problem in found.problems] == ["warning"]
        assert "registry:r1:1:10, registry:r2:1:10" in found.problems[0].message


def test_record_decides_between_registries() -> None:
    deployed = index(OTHER, records=[record(modelVersionId="10")])
    assert link(labelled(**IDS), [index(), deployed]) == Link(Ref.version("r2", "1", "10"), "mnist")


@pytest.mark.parametrize(
    ("name", "certain"),
    [("mnist", True), ("mnist/5f1c", True), ("mnist 2025", False), ("mnist-2", False), ("mnistic", False)],
)
def test_records_whose_names_begin_with_the_isvcs(name: str, certain: bool) -> None:
    found = link(plain(), [index(records=[record(name=name)])])
    assert found == Link(V1, name, certain=certain)


@pytest.mark.parametrize(
    "records",
    [
        [record(name="other")],
        [record(name="mnis")],
        [record(name="")],
        [record(desiredState="UNDEPLOYED")],
        [record(servingEnvironmentId="8")],
        [record(servingEnvironmentId=None)],
        [record(modelVersionId="11")],
        [record(registeredModelId="2", modelVersionId="10")],
    ],
)
def test_records_that_do_not_count(records: list[RegistryInferenceService]) -> None:
    assert link(plain(), [index(records=records)]) == Link()


def test_records_are_of_one_namespace() -> None:
    assert link(plain(namespace="sound"), [index(records=[record()])]) == Link()


def test_record_without_a_version_means_the_newest() -> None:
    versions = [
        version(id="11", name="v2", createTimeSinceEpoch="300"),
        version(id="12", name="v3", createTimeSinceEpoch="200"),
        version(id="13", name="v4", createTimeSinceEpoch="900", state="ARCHIVED"),
    ]
    assert link(plain(), [index(versions=versions, records=[record()])]).version == Ref.version("r1", "1", "11")


def test_of_several_records_the_newest_of_the_same_name_wins() -> None:
    versions = [version(), version(id="11", name="v2"), version(id="12", name="v3")]
    records = [
        record(id="1", name="mnist/x", modelVersionId="12", lastUpdateTimeSinceEpoch="900"),
        record(id="2", modelVersionId="10", lastUpdateTimeSinceEpoch="200"),
        record(id="3", modelVersionId="11", lastUpdateTimeSinceEpoch="300"),
        record(id="4", name="mnist-2", modelVersionId="10", lastUpdateTimeSinceEpoch="999"),
    ]
    for order in (records, records[::-1]):
        found = link(plain(), [index(versions=versions, records=order)])
        assert (found.version, found.record) == (Ref.version("r1", "1", "11"), "mnist")
        assert [problem.severity for problem in found.problems] == ["warning"]


def test_records_that_agree_are_no_problem() -> None:
    found = link(plain(), [index(records=[record(id="1"), record(id="2", name="mnist/x")])])
    assert found == Link(V1, "mnist")


Claim = tuple[str, tuple[Deployment, Link]]


def claim(name: str, *, ready: bool = True, certain: bool = True, created: int = 100) -> Claim:
    deployment = replace(plain(name), created=created, readiness=Readiness(ready))
    return f"isvc:local:vision/{name}", (deployment, Link(V1, certain=certain))


@pytest.mark.parametrize(
    ("claims", "chosen"),
    [
        ([claim("a", ready=False, created=1), claim("b")], "b"),
        ([claim("a", created=200), claim("b", created=100)], "b"),
        ([claim("a", created=0), claim("b", created=100)], "b"),
        ([claim("b"), claim("a")], "a"),
        ([claim("a", certain=False), claim("b", ready=False)], "b"),
    ],
)
def test_one_server_is_chosen(claims: list[Claim], chosen: str) -> None:
    for order in (claims, claims[::-1]):
        server, others = choose_server(dict(order))
        assert server == f"isvc:local:vision/{chosen}"
        assert {server, *others} == dict(claims).keys()
        (problem,) = others.values()
        assert (problem.severity, chosen in problem.message) == ("info", True)


def test_without_claims_there_is_no_server() -> None:
    assert choose_server({}) == ("", {})
    assert choose_server(dict([claim("a")])) == ("isvc:local:vision/a", {})
