"""What should be served, step by step as the sources tell."""

import json
from typing import Any

import pytest

from common.problems import Problem
from common.wire import Stored, Upsert
from services.normalizer.catalogue import Catalogue
from services.normalizer.contents import IsvcSource, RegistryContent
from services.normalizer.normalize.deployment import read_service, read_service_account
from services.normalizer.normalize.isvc import read_isvc
from services.normalizer.normalize.registry_objects import (
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    RegistryRef,
    ServingEnvironment,
)
from services.normalizer.normalize.result import Defaults, described
from services.normalizer.sources.kubeflow.records import RegistrySnapshot
from tests import objects
from tests.normalizer.normalize.registries import parsed

SOURCE = IsvcSource("kserve", "local")
GRACE = 120.0
REGISTRY = RegistryRef("ns/reg", "reg", "ns")
LABELS = {
    "modelregistry.opendatahub.io/registered-model-id": "1",
    "modelregistry.opendatahub.io/model-version-id": "10",
}


class Bench:
    """A catalogue whose clock stands still until it is moved."""

    def __init__(self, stored: dict[str, Stored] | None = None) -> None:
        self.catalogue = Catalogue(defaults=Defaults(), not_ready_grace=GRACE)
        self.catalogue.seed(stored or {})
        self.now = 0.0
        self.checks: dict[str, float] = {}

    def isvc(self, obj: dict[str, Any], *, bare: bool = False) -> None:
        metadata = obj["metadata"]
        key = (metadata["namespace"], metadata["name"])
        self.catalogue.put_isvc(SOURCE, key, read_isvc(obj), explicit=True, bare=bare)
        self.render()

    def gone(self, name: str, *, explicit: bool = True) -> None:
        self.catalogue.put_isvc(SOURCE, ("models", name), None, explicit=explicit)
        self.render()

    def registry(self, **content: Any) -> None:
        snapshot = RegistrySnapshot(**content)
        touched = set(snapshot.versions) | {"10", "11", "20"}
        self.catalogue.put_registry(REGISTRY.id, RegistryContent(REGISTRY, snapshot), touched=touched)
        self.render()

    def render(self) -> None:
        self.checks = self.catalogue.render(self.catalogue.take_dirty(), now=self.now)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.checks = self.catalogue.render({*self.checks, *self.catalogue.take_dirty()}, now=self.now)

    def document(self, key: str) -> dict[str, Any]:
        return dict(json.loads(self.catalogue.wanted[key].body))

    @property
    def keys(self) -> list[str]:
        return sorted(self.catalogue.wanted)

    def stored(self) -> dict[str, Stored]:
        return {key: upsert.stored for key, upsert in self.catalogue.wanted.items()}


def test_a_version_is_described_by_its_ids_whatever_the_registrys_name_holds() -> None:
    assert described("registry:host:8080:1:10") == "ModelVersion 10 of RegisteredModel 1 in registry host:8080"


@pytest.fixture
def bench() -> Bench:
    return Bench()


def model(id_: str = "1", name: str = "granite", **fields: Any) -> dict[str, RegisteredModel]:
    return {id_: parsed(RegisteredModel, id=id_, name=name, **fields)}


def version(id_: str = "10", name: str = "v1", model_id: str = "1", **fields: Any) -> dict[str, ModelVersion]:
    raw = {"id": id_, "name": name, "registeredModelId": model_id, **fields}
    return {id_: parsed(ModelVersion, **raw)}


def one_version(**fields: Any) -> dict[str, Any]:
    return {"models": model(), "versions": version(**fields), "artifacts": {"10": ()}}


# --- InferenceServices alone


def test_a_ready_isvc_is_served_at_once_and_a_deleted_one_leaves_for_certain(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    assert bench.keys == ["models_m"]
    bench.gone("m")
    assert bench.keys == []
    assert "isvc:local:models/m" in bench.catalogue.certain


def test_one_that_a_listing_lacks_leaves_without_certainty(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    bench.gone("m", explicit=False)
    assert bench.keys == []
    assert not bench.catalogue.certain


def test_one_that_was_never_ready_is_not_served(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", ready=False))
    assert bench.keys == []
    assert not bench.checks


def test_an_edit_of_annotations_alone_is_seen(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    bench.isvc(objects.isvc("m", annotations={"modelcatalogbridge.rhdh.io/owner": "ml-team"}))
    assert bench.document("models_m")["models"][0]["owner"] == "ml-team"


def test_one_that_is_not_ready_for_a_moment_stays_as_it_was(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    before = bench.catalogue.wanted["models_m"]
    bench.isvc(objects.isvc("m", ready=False))
    assert bench.catalogue.wanted["models_m"] == before
    assert bench.checks == {"isvc:local:models/m": GRACE}
    bench.later(GRACE - 1)
    assert bench.keys == ["models_m"]
    bench.later(1)
    assert bench.keys == []
    assert "isvc:local:models/m" in bench.catalogue.certain


def test_each_lapse_has_a_grace_of_its_own(bench: Bench) -> None:
    for _ in range(3):
        bench.isvc(objects.isvc("m"))
        bench.isvc(objects.isvc("m", ready=False))
        bench.later(GRACE - 1)
        assert bench.keys == ["models_m"]


def test_a_stopped_one_leaves_at_once(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    bench.isvc(objects.stopped(objects.isvc("m")))
    assert bench.keys == []
    assert "isvc:local:models/m" in bench.catalogue.certain


def test_one_that_is_not_ready_when_we_restart_is_retained_for_the_grace(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    restarted = Bench(bench.stored())
    restarted.isvc(objects.isvc("m", ready=False))
    assert restarted.keys == []
    assert restarted.catalogue.retained == {"isvc:local:models/m"}
    assert not restarted.catalogue.certain
    restarted.later(GRACE)
    assert not restarted.catalogue.retained
    assert restarted.catalogue.certain == {"isvc:local:models/m"}


def test_a_service_that_appears_later_is_noticed(bench: Bench) -> None:
    obj = objects.isvc("m", url="http://m-predictor.models.svc.cluster.local")
    bench.isvc(obj)
    before = bench.document("models_m")["modelServer"]["API"]
    service = read_service(objects.predictor_service(obj))
    bench.catalogue.put_service(SOURCE, ("models", service.name), service)
    bench.render()
    after = bench.document("models_m")["modelServer"]["API"]
    assert before["url"] == "http://m-predictor.models.svc.cluster.local"
    assert after["url"] == "http://m-predictor.models.svc.cluster.local:8080"


def test_a_service_account_that_comes_and_goes_decides_about_authentication(bench: Bench) -> None:
    obj = objects.isvc("m")
    bench.isvc(obj)
    account = read_service_account(objects.service_account_for(obj))
    for facts, expected in ((account, True), (None, False)):
        bench.catalogue.put_service_account(SOURCE, ("models", account.name), facts)
        bench.render()
        assert bench.document("models_m")["modelServer"]["authentication"] is expected


def test_a_manifest_without_status_is_shown_without_a_server(bench: Bench) -> None:
    obj = objects.isvc("m")
    del obj["status"]
    bench.isvc(obj, bare=True)
    assert "modelServer" not in bench.document("models_m")


def test_names_that_collide_are_told_apart_and_stay_so_after_a_restart(bench: Bench) -> None:
    bench.isvc(objects.isvc("b-c", "a"))
    bench.isvc(objects.isvc("c", "a-b"))
    names = {key: bench.document(key)["models"][0]["name"] for key in bench.keys}
    assert len(set(names.values())) == 2
    [problem] = [p for of_one in bench.catalogue.problems.values() for p in of_one]
    assert "another model is called a-b-c already" in problem.message
    assert problem.object in ("InferenceService a/b-c", "InferenceService a-b/c")
    restarted = Bench(bench.stored())
    restarted.isvc(objects.isvc("c", "a-b"))
    restarted.isvc(objects.isvc("b-c", "a"))
    assert restarted.stored() == bench.stored()


def test_an_isvc_that_cannot_be_read_keeps_what_is_stored(bench: Bench) -> None:
    from common.problems import Problem

    bench.catalogue.put_unusable("isvc:local:models/m", Problem("error", "InferenceService models/m", "odd", "mend"))
    bench.render()
    assert bench.catalogue.retained == {"isvc:local:models/m"}
    assert bench.catalogue.problems["isvc:local:models/m"][0].message == "odd"


# --- registries


def test_every_live_version_has_a_document(bench: Bench) -> None:
    bench.registry(
        models=model() | model("2", "llama", state="ARCHIVED"),
        versions=version() | version("11", "v2") | version("20", "v1", "2") | version("12", "v3", state="ARCHIVED"),
        artifacts={"10": (), "11": (), "20": (), "12": ()},
    )
    assert bench.keys == ["granite_v1", "granite_v2"]


def test_a_version_that_an_isvc_serves_shows_it_as_its_server_and_the_isvc_alone_goes(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    assert bench.keys == ["models_m"]
    bench.registry(**one_version())
    assert bench.keys == ["granite_v1"]
    assert bench.document("granite_v1")["modelServer"]["name"] == "m"
    assert "isvc:local:models/m" in bench.catalogue.certain


def test_a_version_that_goes_gives_its_isvc_back_and_takes_it_again(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(**one_version())
    bench.registry(**one_version(state="ARCHIVED"))
    assert bench.keys == ["models_m"]
    bench.registry(**one_version())
    assert bench.keys == ["granite_v1"]


def test_an_isvc_that_goes_takes_the_server_with_it(bench: Bench) -> None:
    bench.registry(**one_version())
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.gone("m")
    assert "modelServer" not in bench.document("granite_v1")


def test_a_server_that_is_not_ready_stays_for_the_grace(bench: Bench) -> None:
    bench.registry(**one_version())
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.isvc(objects.isvc("m", labels=LABELS, ready=False))
    assert "modelServer" in bench.document("granite_v1")
    bench.later(GRACE)
    assert "modelServer" not in bench.document("granite_v1")
    assert bench.keys == ["granite_v1"]


def test_an_isvc_that_moves_to_another_version_moves_the_server(bench: Bench) -> None:
    bench.registry(models=model(), versions=version() | version("11", "v2"), artifacts={"10": (), "11": ()})
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.isvc(objects.isvc("m", labels={**LABELS, "modelregistry.opendatahub.io/model-version-id": "11"}))
    assert "modelServer" not in bench.document("granite_v1")
    assert "modelServer" in bench.document("granite_v2")


def test_of_two_isvcs_for_one_version_one_is_its_server_and_the_other_stands_alone(bench: Bench) -> None:
    bench.registry(**one_version())
    bench.isvc(objects.isvc("one", labels=LABELS))
    bench.isvc(objects.isvc("two", labels=LABELS))
    assert bench.keys == ["granite_v1", "models_two"]
    bench.gone("one")
    assert bench.keys == ["granite_v1"]
    assert bench.document("granite_v1")["modelServer"]["name"] == "two"


def test_one_that_stands_alone_beside_the_server_of_its_version_is_told(bench: Bench) -> None:
    bench.registry(**one_version())
    bench.isvc(objects.isvc("one", labels=LABELS))
    bench.isvc(objects.isvc("two", labels=LABELS))
    (problem,) = bench.catalogue.problems["isvc:local:models/two"]
    assert "InferenceService models/one" in problem.message
    bench.isvc(objects.isvc("two"))
    assert not bench.catalogue.problems
    bench.isvc(objects.isvc("two", labels=LABELS))
    assert bench.catalogue.problems
    bench.gone("one")
    assert not bench.catalogue.problems


def test_what_is_malformed_in_a_registry_is_a_problem_until_it_is_mended_or_the_registry_is_gone(bench: Bench) -> None:
    malformed = Problem("warning", "registered_models 7 of reg", "it has no name", "mend it")
    content = RegistryContent(REGISTRY, RegistrySnapshot(), problems=(malformed,))
    bench.catalogue.put_registry(REGISTRY.id, content)
    assert bench.catalogue.problems == {"registry:ns/reg": (malformed,)}
    bench.registry()
    assert not bench.catalogue.problems
    bench.catalogue.put_registry(REGISTRY.id, content)
    bench.catalogue.put_registry(REGISTRY.id, None)
    assert not bench.catalogue.problems


def test_the_registrys_own_record_links_an_isvc_without_labels(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    record = {"id": "7", "name": "m-7", "registeredModelId": "1", "modelVersionId": "10", "servingEnvironmentId": "3"}
    bench.registry(
        **one_version(),
        inference_services={"7": parsed(RegistryInferenceService, **record)},
        environments={"3": parsed(ServingEnvironment, id="3", name="models")},
    )
    assert bench.keys == ["granite_v1"]
    assert bench.document("granite_v1")["modelServer"]["name"] == "m-7"


def test_a_version_whose_artifacts_are_not_read_yet_stays_as_it_is_stored(bench: Bench) -> None:
    bench.registry(models=model(), versions=version())
    assert bench.keys == []
    assert bench.catalogue.retained == {"registry:ns/reg:1:10"}
    bench.registry(**one_version())
    assert bench.keys == ["granite_v1"]
    assert not bench.catalogue.retained


def test_a_registry_that_is_gone_takes_its_documents_and_frees_its_isvcs(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(**one_version())
    bench.catalogue.put_registry(REGISTRY.id, None)
    bench.render()
    assert bench.keys == ["models_m"]


def test_an_isvc_whose_registry_was_not_read_since_the_restart_is_not_shown_twice(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(**one_version())
    restarted = Bench(bench.stored())
    restarted.catalogue.registries_changed(unread={"registry:ns/reg"}, awaiting=False)
    restarted.isvc(objects.isvc("m", labels=LABELS))
    assert restarted.keys == []
    restarted.catalogue.registries_changed(unread=(), awaiting=False)
    restarted.registry(**one_version())
    assert restarted.stored() == bench.stored()


def test_versions_of_an_earlier_run_are_known_by_their_registry(bench: Bench) -> None:
    bench.registry(**one_version())
    restarted = Bench(bench.stored())
    assert restarted.catalogue.known_versions("ns/reg") == {"10"}
    assert restarted.catalogue.known_versions("ns/re") == set()


def test_an_isvc_with_labels_waits_for_the_first_reading_of_the_registries(bench: Bench) -> None:
    bench.catalogue.registries_changed(unread={"registry:ns/reg"}, awaiting=True)
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.isvc(objects.isvc("unlabelled"))
    assert bench.keys == ["models_unlabelled"]
    bench.catalogue.registries_changed(unread={"registry:ns/reg"}, awaiting=False)
    bench.render()
    assert bench.keys == ["models_m", "models_unlabelled"]


ARTIFACT = parsed(ModelArtifact, id="100", modelSourceClass="c", modelSourceGroup="g", modelSourceName="n")
WITH_ARTIFACT = {"models": model(), "versions": version(), "artifacts": {"10": (ARTIFACT,)}}


def test_a_card_of_the_catalog_is_linked_and_its_text_kept(bench: Bench) -> None:
    bench.catalogue.put_cards({"cgn": "# card"})
    bench.registry(**WITH_ARTIFACT)
    assert bench.catalogue.wanted["granite_v1"].card_key == "cgn"
    assert bench.catalogue.cards["cgn"].text == "# card"
    bench.catalogue.put_cards({"cgn": "# edited"})
    assert bench.catalogue.cards["cgn"].text == "# edited"


def test_a_card_that_nobody_shows_is_not_kept(bench: Bench) -> None:
    bench.catalogue.put_cards({"cgn": "# card"})
    bench.registry(**WITH_ARTIFACT)
    bench.registry()
    assert bench.catalogue.cards == {}


def test_a_card_of_an_earlier_run_stays_linked_while_the_catalog_is_not_read(bench: Bench) -> None:
    bench.catalogue.put_cards({"cgn": "# card"})
    bench.registry(**WITH_ARTIFACT)
    restarted = Bench(bench.stored())
    restarted.registry(**WITH_ARTIFACT)
    assert restarted.stored() == bench.stored()
    assert restarted.catalogue.cards == {}


def test_the_models_readme_is_its_card_where_the_catalog_has_none(bench: Bench) -> None:
    bench.registry(models=model(readme="# mine"), versions=version(), artifacts={"10": ()})
    key = bench.catalogue.wanted["granite_v1"].card_key
    assert bench.catalogue.cards[key].text == "# mine"


def rendered_in(order: list[int]) -> dict[str, Upsert]:
    bench = Bench()
    steps = [
        lambda: bench.isvc(objects.isvc("m", labels=LABELS)),
        lambda: bench.isvc(objects.isvc("other")),
        lambda: bench.registry(**one_version()),
    ]
    for step in order:
        steps[step]()
    return bench.catalogue.wanted


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]])
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    assert rendered_in(order) == rendered_in([0, 2, 1])
