"""What should be served, step by step as the sources tell."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

import services.normalizer.rendering as rendering_module
from common.problems import Problem
from common.wire import Stored, Upsert
from services.normalizer.documents import SLICE
from services.normalizer.facts import Gone, Missing, Ref, Unusable
from services.normalizer.normalize.connection import Connection
from services.normalizer.normalize.deployment import Deployment, read_service, read_service_account
from services.normalizer.normalize.document import normalize_deployment
from services.normalizer.normalize.kserve_objects import read_isvc, read_llmisvc
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry, joined
from services.normalizer.normalize.registry_objects import (
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryInferenceService,
    ServingEnvironment,
)
from services.normalizer.normalize.result import Defaults, Normalized
from services.normalizer.normalize.runtimes import read_runtime
from tests import objects
from tests.normalizer.bench import GRACE, HOLD, REGISTRY, REGISTRY_SOURCE, SOURCE, Bench, isvc
from tests.normalizer.normalize.registries import parsed

VERSION = "registry:ns/reg:1:10"
PUBLIC = Registry("public", "public")
LABELS = {
    "modelregistry.opendatahub.io/registered-model-id": "1",
    "modelregistry.opendatahub.io/model-version-id": "10",
}


def test_a_version_is_described_by_its_ids_whatever_the_registrys_name_holds() -> None:
    assert Ref.parse("registry:host:8080:1:10").label == "ModelVersion 10 of RegisteredModel 1 in registry host:8080"


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


def test_a_ready_isvc_is_served_at_once_and_a_deleted_one_leaves_at_once(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    assert bench.keys == ["models_m"]
    bench.gone("m")
    assert bench.keys == []
    assert bench.removed == {"models_m": "deleted"}


def test_one_that_a_look_lacks_stays_as_it_was_for_the_hold(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    before = dict(bench.storage)
    bench.gone("m", explicit=False)
    bench.later(HOLD - 1)
    assert {key: replace(entry, leaving=None) for key, entry in bench.storage.items()} == before
    bench.later(1)
    assert bench.removed == {"models_m": "not-listed"}


def test_one_that_comes_back_within_the_hold_never_left(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    before = dict(bench.storage)
    bench.gone("m", explicit=False)
    bench.later(HOLD / 2)
    assert bench.storage["models_m"].leaving is not None
    bench.isvc(objects.isvc("m"))
    bench.later(HOLD)
    assert bench.storage == before


def test_one_that_another_replica_had_proof_of_is_not_put_back(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    bench.desired.adopt(bench.storage, now=bench.now)
    bench.gone("m", explicit=False)
    bench.storage.clear()
    bench.desired.adopt(bench.storage, now=bench.now)
    bench.render()
    assert bench.keys == []
    assert not bench.desired.wanted


def test_what_a_damaged_cache_lost_is_put_back_though_it_is_leaving(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    bench.desired.adopt(bench.storage, now=bench.now)
    bench.gone("m", explicit=False)
    bench.desired.adopt({}, now=bench.now, damaged=True)
    assert set(bench.desired.wanted) == {"models_m"}


def test_one_that_was_never_ready_is_not_served(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", ready=False))
    assert bench.keys == []
    assert not bench.ledger.doubts()


def test_an_edit_of_annotations_alone_is_seen(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    bench.isvc(objects.isvc("m", annotations={"modelcatalogbridge.rhdh.io/owner": "ml-team"}))
    assert bench.document("models_m")["models"][0]["owner"] == "ml-team"


def test_one_that_is_not_ready_for_a_moment_stays_as_it_was(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    before = bench.storage["models_m"]
    bench.isvc(objects.isvc("m", ready=False))
    bench.later(GRACE - 1)
    assert bench.storage["models_m"] == before
    bench.later(1)
    assert bench.removed == {"models_m": "not-ready"}


def test_each_lapse_has_a_grace_of_its_own(bench: Bench) -> None:
    for _ in range(3):
        bench.isvc(objects.isvc("m"))
        bench.isvc(objects.isvc("m", ready=False))
        bench.later(GRACE - 1)
        assert bench.keys == ["models_m"]


def test_a_stopped_one_leaves_at_once(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    bench.isvc(objects.stopped(objects.isvc("m")))
    assert bench.removed == {"models_m": "stopped"}


def test_one_that_is_not_ready_when_we_restart_stays_for_the_grace(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    restarted = bench.restarted(listed=False)
    restarted.isvc(objects.isvc("m", ready=False))
    restarted.later(GRACE - 1)
    assert restarted.storage == bench.storage
    restarted.later(1)
    assert restarted.removed == {"models_m": "not-ready"}


def test_while_its_cluster_cannot_be_followed_nothing_leaves_that_may_be_ready_again(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    bench.isvc(objects.isvc("m", ready=False))
    bench.book.failed(SOURCE)
    bench.later(GRACE * 10, look=False)
    assert bench.keys == ["models_m"]


def test_a_service_that_appears_later_is_noticed(bench: Bench) -> None:
    obj = objects.isvc("m", url="http://m-predictor.models.svc.cluster.local")
    bench.isvc(obj)
    before = bench.document("models_m")["modelServer"]["API"]
    service = read_service(objects.predictor_service(obj))
    bench.put(Ref("service", "local", ("models", service.name)), service)
    after = bench.document("models_m")["modelServer"]["API"]
    assert before["url"] == "http://m-predictor.models.svc.cluster.local"
    assert after["url"] == "http://m-predictor.models.svc.cluster.local:8080"


def test_a_service_account_that_comes_and_goes_decides_about_authentication(bench: Bench) -> None:
    obj = objects.isvc("m")
    bench.isvc(obj)
    account = read_service_account(objects.service_account_for(obj))
    for facts, expected in ((account, True), (None, False)):
        bench.put(Ref("serviceaccount", "local", ("models", account.name)), facts or Gone())
        assert bench.document("models_m")["modelServer"]["authentication"] is expected


def test_a_manifest_without_status_is_shown_without_a_server(bench: Bench) -> None:
    obj = objects.isvc("m")
    del obj["status"]
    bench.isvc(obj, bare=True)
    assert "modelServer" not in bench.document("models_m")


def test_names_that_collide_are_reported_apart_and_stay_so_after_a_restart(bench: Bench) -> None:
    bench.isvc(objects.isvc("b-c", "a"))
    bench.isvc(objects.isvc("c", "a-b"))
    names = {key: bench.document(key)["models"][0]["name"] for key in bench.keys}
    assert len(set(names.values())) == 2
    [problem] = [p for of_one in bench.desired.problems.values() for p in of_one]
    assert "another model is called a-b-c already" in problem.message
    assert problem.object in ("InferenceService a/b-c", "InferenceService a-b/c")
    restarted = bench.restarted(listed=False)
    restarted.isvc(objects.isvc("c", "a-b"))
    restarted.isvc(objects.isvc("b-c", "a"))
    assert restarted.storage == bench.storage


def test_readable_names_are_for_new_entities_and_those_that_have_a_name_keep_it() -> None:
    readable = Defaults(readable_names=True)
    former = Bench()
    former.registry(models=model(name="Granite 3.1"), versions=version(name="V1.0"), artifacts={"10": ()})
    assert former.storage["Granite31_V10"].model_name == "Granite31-v10"

    two = {
        "models": model(name="Granite 3.1"),
        "versions": version(name="V1.0") | version("11", "V2.0"),
        "artifacts": {"10": (), "11": ()},
    }
    switched_on = former.restarted(defaults=readable)
    switched_on.registry(**two)
    names = {"Granite31_V10": "Granite31-v10", "Granite31_V20": "Granite-3.1-V2.0"}
    assert {key: entry.model_name for key, entry in switched_on.storage.items()} == names
    assert switched_on.document("Granite31_V20")["models"][0]["name"] == "Granite-3.1-V2.0"

    switched_off = switched_on.restarted()
    switched_off.registry(**two)
    assert {key: entry.model_name for key, entry in switched_off.storage.items()} == names
    for bench in (switched_on, switched_off):
        assert not [problem for of_one in bench.desired.problems.values() for problem in of_one]


def test_readable_names_that_differ_in_case_only_are_reported_apart() -> None:
    bench = Bench(defaults=Defaults(readable_names=True))
    bench.registry(
        models=model("1", "Granite") | model("2", "granite."),
        versions=version("10", "v1", "1") | version("20", "V1", "2"),
        artifacts={"10": (), "20": ()},
    )
    names = {entry.model_name for entry in bench.storage.values()}
    assert len({name.lower() for name in names}) == 2


def test_a_name_too_long_to_be_readable_is_the_usual_one() -> None:
    bench = Bench(defaults=Defaults(readable_names=True))
    bench.registry(models=model(name="granite" * 9), versions=version(name="V1.0"), artifacts={"10": ()})
    [entry] = bench.storage.values()
    assert entry.model_name.endswith("-v10")


def test_a_name_is_free_when_its_entry_has_left_storage(bench: Bench) -> None:
    bench.isvc(objects.isvc("b-c", "a"))
    bench.gone("b-c", explicit=False)
    bench.put(isvc("b-c", "a"), Missing())
    bench.isvc(objects.isvc("c", "a-b"))
    assert bench.storage["a_b-c"].model_name == "a-b-c"
    assert bench.storage["a-b_c"].model_name != "a-b-c"
    bench.later(HOLD)
    bench.isvc(objects.isvc("b-c", "a"))
    assert bench.storage["a_b-c"].model_name == "a-b-c"


def test_replicas_that_gave_out_names_each_for_itself_end_with_the_same() -> None:
    one, other = Bench(), Bench()
    one.isvc(objects.isvc("b-c", "a"))
    other.isvc(objects.isvc("c", "a-b"))
    shared = dict(one.storage)
    for _ in range(3):
        for replica in (one, other):
            replica.storage = shared
            replica.desired.adopt(shared, now=0)
            replica.isvc(objects.isvc("b-c", "a"))
            replica.isvc(objects.isvc("c", "a-b"))
            shared = replica.storage
    assert one.planned().empty
    assert other.planned().empty
    assert shared["a_b-c"].model_name == "a-b-c"


def test_an_isvc_that_cannot_be_read_keeps_what_is_stored(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    restarted = bench.restarted(listed=False)
    odd = Problem("object_unreadable", "error", "InferenceService models/m", "odd", "fix")
    restarted.put(isvc("m"), Unusable(odd))
    restarted.later(2 * HOLD)
    assert restarted.storage == bench.storage
    assert restarted.desired.problems["isvc:local:models/m"][0].message == "odd"


def told_version(**fields: Any) -> RegisteredVersion:
    (only,) = one_version(**fields)["versions"].values()
    return joined(REGISTRY.id, model()["1"], only, ())


def test_a_version_that_cannot_be_read_keeps_what_is_stored_and_is_a_problem(bench: Bench) -> None:
    bench.registry(**one_version())
    restarted = bench.restarted()
    restarted.book.declare(REGISTRY_SOURCE, "registry")
    odd = Problem("registry_item_unusable", "error", "ModelVersion v1", "odd", "fix")
    restarted.desired.put(REGISTRY_SOURCE, Ref.parse(VERSION), Unusable(odd), now=restarted.now)
    restarted.later(2 * HOLD)
    assert restarted.storage == bench.storage
    assert restarted.desired.problems[VERSION] == (odd,)
    restarted.desired.put(REGISTRY_SOURCE, Ref.parse(VERSION), told_version(), now=restarted.now)
    restarted.later(0)
    assert VERSION not in restarted.desired.problems


def test_versions_need_no_more_than_their_own_facts(bench: Bench) -> None:
    version = told_version()
    bench.book.declare(REGISTRY_SOURCE, "registry")
    bench.desired.put(REGISTRY_SOURCE, version.ref, version)
    bench.later(0)
    assert bench.keys == ["granite_v1"]
    bench.desired.put(REGISTRY_SOURCE, version.ref, Gone())
    bench.later(0)
    assert (bench.keys, bench.removed) == ([], {"granite_v1": "deleted"})


def test_whatever_happens_to_one_document_it_stays_and_the_others_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.isvc(objects.isvc("m"))

    def failing(facts: Deployment, **rest: Any) -> Normalized:
        if facts.name == "m":
            raise RuntimeError("a rule with a fault")
        return normalize_deployment(facts, **rest)

    monkeypatch.setattr(rendering_module, "normalize_deployment", failing)
    bench.isvc(objects.isvc("m", annotations={"modelcatalogbridge.rhdh.io/owner": "ml-team"}))
    bench.isvc(objects.isvc("other"))
    bench.later(2 * HOLD)
    assert bench.keys == ["models_m", "models_other"]
    assert "a rule with a fault" in bench.desired.problems["isvc:local:models/m"][0].message
    assert {name for name, _ in bench.desired.renderer.take_failures()} == {"InferenceService models/m"}
    monkeypatch.undo()
    bench.isvc(objects.isvc("m", annotations={"modelcatalogbridge.rhdh.io/owner": "others"}))
    assert bench.document("models_m")["models"][0]["owner"] == "others"
    assert not bench.desired.problems


def test_rendering_many_gives_way_between_slices(bench: Bench) -> None:
    for number in range(2 * SLICE):
        bench.desired.put(SOURCE, isvc(f"m{number}"), read_isvc(objects.isvc(f"m{number}")))
    assert sum(1 for _ in bench.desired.renderer.render(bench.desired.take_dirty(), now=0)) >= 4
    assert len(bench.desired.wanted) == 2 * SLICE


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
    assert bench.removed == {"models_m": "shown-with-version"}


def test_an_isvc_alone_stays_until_the_version_that_shows_it_is_stored(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.refused = {"granite_v1": version_upsert().digest}
    bench.registry(**one_version())
    assert bench.keys == ["models_m"]
    bench.refused = {}
    bench.later(0)
    assert bench.keys == ["granite_v1"]


def test_an_isvc_alone_stays_while_the_artifacts_of_its_version_cannot_be_read(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(models=model(), versions=version())
    bench.later(2 * HOLD)
    assert bench.keys == ["models_m"]


def test_a_version_that_goes_stays_until_its_server_is_shown_alone(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(**one_version())
    bench.refused = {"models_m": alone_upsert().digest}
    bench.registry(**one_version(state="ARCHIVED"))
    assert bench.keys == ["granite_v1"]
    bench.refused = {}
    bench.later(0)
    assert bench.keys == ["models_m"]


def test_a_version_that_its_registry_lacks_keeps_its_server_for_the_hold(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(**one_version())
    bench.registry()
    bench.later(HOLD - 1)
    assert bench.keys == ["granite_v1"]
    assert bench.document("granite_v1")["modelServer"]["name"] == "m"
    bench.later(1)
    assert bench.keys == ["models_m"]
    assert bench.removed["granite_v1"] == "not-listed"


def test_a_version_that_its_registry_lacks_since_before_the_restart_is_not_shown_twice(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(**one_version())
    restarted = bench.restarted(listed=False)
    restarted.isvc(objects.isvc("m", labels=LABELS))
    restarted.registry()
    restarted.later(0)
    restarted.later(HOLD - 1)
    assert restarted.keys == ["granite_v1"]
    restarted.later(1)
    assert restarted.keys == ["models_m"]


def test_a_server_that_no_look_shows_any_more_stays_for_the_hold_also_over_a_restart(bench: Bench) -> None:
    bench.registry(**one_version())
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.gone("m", explicit=False)
    bench.later(HOLD - 1)
    assert "modelServer" in bench.document("granite_v1")
    assert bench.storage["granite_v1"].server_ref == "isvc:local:models/m"
    restarted = bench.restarted(listed=False)
    restarted.registry(**one_version())
    restarted.later(0)
    restarted.later(HOLD - 1)
    assert restarted.storage == bench.storage
    restarted.later(1)
    assert restarted.storage["granite_v1"].server_ref == ""


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


def test_a_version_stays_as_it_is_stored_until_its_server_was_looked_for(bench: Bench) -> None:
    bench.registry(**one_version())
    bench.isvc(objects.isvc("m", labels=LABELS))
    restarted = bench.restarted(listed=False)
    restarted.registry(**one_version())
    assert restarted.storage == bench.storage
    restarted.isvc(objects.isvc("m", labels=LABELS))
    assert restarted.storage == bench.storage


def of_a_former_version(bench: Bench) -> Bench:
    """Another run over a version with a server, which a former version has stored without saying which it is."""
    bench.registry(**one_version())
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.storage = {key: replace(entry, server_ref="") for key, entry in bench.storage.items()}
    return bench.restarted(listed=False)


def test_a_server_that_its_stored_version_does_not_name_is_looked_for_too(bench: Bench) -> None:
    restarted = of_a_former_version(bench)
    stored = restarted.storage["granite_v1"]
    restarted.registry(**one_version())
    assert restarted.storage == {"granite_v1": stored}
    restarted.isvc(objects.isvc("m", labels=LABELS))
    restarted.later(HOLD)
    assert restarted.storage == {"granite_v1": stored}


def test_a_server_that_its_stored_version_does_not_name_is_not_shown_by_itself(bench: Bench) -> None:
    restarted = of_a_former_version(bench)
    restarted.isvc(objects.isvc("m"))
    restarted.isvc(objects.isvc("another"))
    assert restarted.keys == ["granite_v1", "models_another"]


def test_a_server_that_its_stored_version_does_not_name_stays_for_the_grace_while_it_is_not_ready(bench: Bench) -> None:
    restarted = of_a_former_version(bench)
    restarted.registry(**one_version())
    restarted.isvc(objects.isvc("m", labels=LABELS, ready=False))
    restarted.later(GRACE - 1)
    assert restarted.storage["granite_v1"].server_name
    restarted.later(1)
    assert "modelServer" not in restarted.document("granite_v1")


def test_a_server_that_its_stored_version_does_not_name_and_no_look_shows_stays_for_the_hold(bench: Bench) -> None:
    restarted = of_a_former_version(bench)
    restarted.registry(**one_version())
    restarted.later(0)
    restarted.later(HOLD - 1)
    assert restarted.storage["granite_v1"].server_name
    restarted.later(1)
    assert "modelServer" not in restarted.document("granite_v1")


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


def test_a_server_that_moves_from_a_version_that_leaves_keeps_its_name(bench: Bench) -> None:
    """A name that the leaving version held until it has left would give the server another one for good."""
    rest = {"models": model(), "artifacts": {"10": (), "11": ()}}
    bench.registry(**rest, versions=version() | version("11", "v2"))
    bench.isvc(objects.isvc("m", labels=LABELS))
    moved = objects.isvc("m", labels={**LABELS, "modelregistry.opendatahub.io/model-version-id": "11"})
    bench.desired.put(SOURCE, isvc("m"), read_isvc(moved), now=bench.now)  # both are rendered together
    bench.registry(**rest, versions=version(state="ARCHIVED") | version("11", "v2"))
    assert bench.keys == ["granite_v2"]
    assert bench.document("granite_v2")["modelServer"]["name"] == "m"


def test_of_two_isvcs_for_one_version_one_is_its_server_and_the_other_stands_alone(bench: Bench) -> None:
    bench.registry(**one_version())
    bench.isvc(objects.isvc("one", labels=LABELS))
    bench.isvc(objects.isvc("two", labels=LABELS))
    assert bench.keys == ["granite_v1", "models_two"]
    bench.gone("one")
    assert bench.keys == ["granite_v1"]
    assert bench.document("granite_v1")["modelServer"]["name"] == "two"


def test_one_that_is_shown_alone_next_to_the_server_of_its_version_is_reported(bench: Bench) -> None:
    bench.registry(**one_version())
    bench.isvc(objects.isvc("one", labels=LABELS))
    bench.isvc(objects.isvc("two", labels=LABELS))
    (problem,) = bench.desired.problems["isvc:local:models/two"]
    assert "InferenceService models/one" in problem.message
    bench.isvc(objects.isvc("two"))
    assert not bench.desired.problems
    bench.isvc(objects.isvc("two", labels=LABELS))
    assert bench.desired.problems
    bench.gone("one")
    assert not bench.desired.problems


def test_what_is_malformed_in_a_registry_is_a_problem_until_it_is_corrected_or_the_registry_is_gone(
    bench: Bench,
) -> None:
    malformed = Problem("registry_item_unusable", "warning", "registered_models 7 of reg", "it has no name", "fix it")
    bench.registry(replace(REGISTRY, problems=(malformed,)))
    assert bench.desired.problems == {str(Ref.registry("ns/reg")): (malformed,)}
    bench.registry()
    assert not bench.desired.problems
    bench.registry(replace(REGISTRY, problems=(malformed,)))
    bench.book.withdraw(REGISTRY_SOURCE)
    bench.ledger.withdraw(REGISTRY_SOURCE)
    bench.later(HOLD)
    bench.later(HOLD)
    assert not bench.desired.problems


def test_what_could_not_be_read_of_a_registry_is_forgotten_with_it(bench: Bench) -> None:
    odd = Problem("registry_item_unusable", "error", "ModelVersion v7", "odd", "fix")
    bench.registry()
    bench.put(Ref.version("ns/reg", "7", "70"), Unusable(odd))
    assert list(bench.desired.problems.values()) == [(odd,)]
    bench.book.withdraw(REGISTRY_SOURCE)
    bench.ledger.withdraw(REGISTRY_SOURCE)
    bench.later(HOLD)
    bench.later(HOLD)
    assert not bench.desired.problems


def test_the_registrys_own_record_links_an_isvc_without_labels(bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    record = {"id": "7", "name": "m-7", "registeredModelId": "1", "modelVersionId": "10", "servingEnvironmentId": "3"}
    bench.registry(
        **one_version(),
        records={"7": parsed(RegistryInferenceService, **record)},
        environments={"3": parsed(ServingEnvironment, id="3", name="models")},
    )
    assert bench.keys == ["granite_v1"]
    assert bench.document("granite_v1")["modelServer"]["name"] == "m-7"


def test_a_version_whose_artifacts_are_not_read_yet_stays_as_it_is_stored(bench: Bench) -> None:
    bench.registry(**one_version(description="before"))
    restarted = bench.restarted()
    restarted.registry(models=model(), versions=version())
    restarted.later(2 * HOLD)
    assert restarted.storage == bench.storage
    restarted.registry(**one_version())
    assert restarted.storage != bench.storage


@pytest.mark.parametrize("again", [False, True], ids=["for good", "and comes back"])
def test_a_registry_that_is_gone_takes_its_documents_after_the_hold_and_frees_its_isvcs(
    bench: Bench, again: bool
) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(**one_version())
    before = dict(bench.storage)
    bench.book.withdraw(REGISTRY_SOURCE)
    bench.ledger.withdraw(REGISTRY_SOURCE)
    bench.later(0)
    bench.later(HOLD - 1)
    assert bench.keys == ["granite_v1"]
    if again:
        bench.registry(**one_version())
        bench.later(HOLD)
        assert bench.storage == before
    else:
        bench.later(1)
        assert bench.keys == ["models_m"]
        assert bench.removed["granite_v1"] == "source-gone"


def test_an_isvc_whose_registry_was_not_read_since_the_restart_is_not_shown_twice(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(**one_version())
    restarted = bench.restarted(listed=False)
    restarted.isvc(objects.isvc("m", labels=LABELS))
    assert restarted.storage == bench.storage
    restarted.registry(**one_version())
    assert restarted.storage == bench.storage


def test_an_isvc_whose_registry_is_not_even_declared_yet_is_not_shown_twice(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(**one_version())
    restarted = bench.restarted()
    restarted.isvc(objects.isvc("m", labels=LABELS))
    restarted.later(GRACE)
    assert restarted.keys == ["granite_v1"]


def test_versions_of_an_earlier_run_are_known_by_their_registry(bench: Bench) -> None:
    bench.registry(**one_version())
    restarted = bench.restarted()
    assert restarted.desired.earlier.version_ids("ns/reg") == {"10"}
    assert restarted.desired.earlier.version_ids("ns/re") == set()


def test_an_isvc_with_labels_waits_for_the_first_reading_of_the_registries(bench: Bench) -> None:
    bench.desired.renderer.await_registries(frozenset({"local"}))
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.isvc(objects.isvc("unlabelled"))
    assert bench.keys == ["models_unlabelled"]
    bench.desired.renderer.await_registries(frozenset())
    bench.render()
    assert bench.keys == ["models_m", "models_unlabelled"]


ARTIFACT = parsed(ModelArtifact, id="100", modelSourceClass="c", modelSourceGroup="g", modelSourceName="n")
WITH_ARTIFACT = {"models": model(), "versions": version(), "artifacts": {"10": (ARTIFACT,)}}


def test_a_card_of_the_catalog_is_linked_and_its_text_kept(bench: Bench) -> None:
    bench.desired.put_cards({"cgn": "# card"})
    bench.registry(**WITH_ARTIFACT)
    assert bench.desired.wanted["granite_v1"].card_key == "cgn"
    assert bench.desired.cards.chosen["cgn"].text == "# card"
    bench.desired.put_cards({"cgn": "# edited"})
    assert bench.desired.cards.chosen["cgn"].text == "# edited"


def test_a_card_that_no_one_shows_is_not_kept(bench: Bench) -> None:
    bench.desired.put_cards({"cgn": "# card"})
    bench.registry(**WITH_ARTIFACT)
    bench.registry()
    assert bench.desired.cards.chosen
    bench.later(HOLD)
    assert bench.desired.cards.chosen == {}


def test_a_card_that_nothing_refers_to_stays_with_the_document_that_shows_it(bench: Bench) -> None:
    bench.desired.put_cards({"cgn": "# card"})
    bench.registry(**WITH_ARTIFACT)
    bench.desired.cards.forget(["cgn"])
    assert bench.desired.cards.chosen.keys() == {"cgn"}
    bench.registry(**WITH_ARTIFACT | {"models": model(description="another")})
    assert bench.desired.wanted["granite_v1"].card_key == "cgn"
    assert bench.desired.cards.chosen["cgn"].text == "# card"


def test_a_card_of_an_earlier_run_stays_linked_while_the_catalog_is_not_read(bench: Bench) -> None:
    bench.desired.put_cards({"cgn": "# card"})
    bench.registry(**WITH_ARTIFACT)
    restarted = bench.restarted()
    restarted.registry(**WITH_ARTIFACT)
    assert restarted.storage == bench.storage
    assert restarted.desired.cards.chosen == {}


CARDED = {"rhdh.io/catalog-source": "c", "rhdh.io/catalog-model": "g/m"}


@pytest.mark.parametrize("kind", ["isvc", "llmisvc"])
def test_a_deployment_has_the_card_that_its_annotations_name(kind: str, bench: Bench) -> None:
    if kind == "isvc":
        bench.isvc(objects.isvc("m", annotations=CARDED))
    else:
        bench.desired.put("kserve-llm", llm("m"), read_llmisvc(objects.llm_isvc("m", annotations=CARDED)))
        bench.render()
    assert {each.key for each in bench.desired.deployments.catalog_models()["local"]} == {"cg/m"}
    assert [each.card_key for each in bench.desired.wanted.values()] == [""]

    bench.desired.put_cards({"cg/m": "# card"})
    bench.render()
    [wanted] = bench.desired.wanted.values()
    assert wanted.card_key == "cg/m"
    assert b"/modelcard?key=cg%2Fm" in wanted.body
    assert bench.desired.cards.chosen["cg/m"].text == "# card"

    bench.desired.put_cards({"cg/m": None})
    bench.render()
    assert [each.card_key for each in bench.desired.wanted.values()] == [""]


HALVES = [("source", "model"), ("model", "source")]


@pytest.mark.parametrize(("given", "missing"), HALVES)
def test_one_of_two_annotations_that_name_a_card_is_a_problem(given: str, missing: str, bench: Bench) -> None:
    bench.isvc(objects.isvc("m", annotations={f"rhdh.io/catalog-{given}": "c"}))
    [problem] = bench.desired.problems["isvc:local:models/m"]
    assert (problem.id, problem.object) == ("catalog_model_incomplete", "InferenceService models/m")
    assert problem.message == (
        f"it has the annotation rhdh.io/catalog-{given} and not rhdh.io/catalog-{missing}: no card is looked for"
    )
    assert f"add rhdh.io/catalog-{missing}" in problem.remedy
    bench.isvc(objects.isvc("m", annotations=CARDED))
    assert not bench.desired.problems


def test_a_card_that_the_catalog_was_read_for_and_lacks_is_a_problem(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", annotations=CARDED))
    assert not bench.desired.problems, "no one has asked the catalog yet"
    bench.desired.put_cards({"cg/m": None})
    bench.render()
    [problem] = bench.desired.problems["isvc:local:models/m"]
    assert (problem.id, problem.message) == (
        "catalog_model_unknown",
        "the model catalog has no card of model 'g/m' in source 'c'",
    )
    assert "rhdh.io/catalog-model" in problem.remedy
    bench.desired.put_cards({"cg/m": "# card"})
    bench.render()
    assert not bench.desired.problems


def test_a_name_that_no_model_can_have_is_a_problem_at_once(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", annotations={**CARDED, "rhdh.io/catalog-model": "../admin"}))
    [problem] = bench.desired.problems["isvc:local:models/m"]
    assert problem.id == "catalog_model_unknown"


def test_a_deployments_card_is_kept_over_a_restart_and_not_asked_for_without_it(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", annotations=CARDED))
    bench.desired.put_cards({"cg/m": "# card"})
    bench.render()
    restarted = bench.restarted()
    restarted.isvc(objects.isvc("m", annotations=CARDED))
    assert restarted.storage == bench.storage
    assert restarted.desired.wanted["models_m"].card_key == "cg/m"

    restarted.isvc(objects.isvc("m"))
    assert restarted.desired.wanted["models_m"].card_key == ""
    assert not restarted.desired.deployments.catalog_models()
    restarted.isvc(objects.isvc("m", annotations=CARDED))
    restarted.gone("m")
    assert not restarted.desired.deployments.catalog_models()


def test_a_version_without_a_card_of_its_own_has_its_deployments(bench: Bench) -> None:
    bench.isvc(objects.isvc("m", annotations=CARDED, labels=LABELS))
    bench.registry(models=model(readme="# mine"), versions=version(), artifacts={"10": ()})
    assert bench.desired.wanted["granite_v1"].card_key.startswith("readme-")
    bench.desired.put_cards({"cg/m": "# card", "cgn": "# of its artifact"})
    bench.render()
    assert bench.desired.wanted["granite_v1"].card_key == "cg/m"
    bench.registry(**WITH_ARTIFACT)
    assert bench.desired.wanted["granite_v1"].card_key == "cgn"


def test_the_models_readme_is_its_card_where_the_catalog_has_none(bench: Bench) -> None:
    bench.registry(models=model(readme="# mine"), versions=version(), artifacts={"10": ()})
    key = bench.desired.wanted["granite_v1"].card_key
    assert bench.desired.cards.chosen[key].text == "# mine"


@pytest.mark.parametrize("names", [{}, {"ref": "", "source": "", "model_name": "", "server_name": ""}])
def test_what_the_original_stored_under_the_same_key_becomes_ours(names: dict[str, Any], bench: Bench) -> None:
    bench.isvc(objects.isvc("m"))
    originals = {"models_m": replace(bench.storage["models_m"], digest="theirs", **names)}
    later = Bench(originals)
    later.isvc(objects.isvc("m"))
    later.later(2 * HOLD)
    assert later.storage == bench.storage
    assert not later.ledger.doubts()


def test_what_the_original_stored_of_registries_stays_while_none_was_read() -> None:
    stored = {"old_1": Stored(digest="d", reconciler="kubeflow"), "models_m": Stored(digest="d", reconciler="kserve")}
    bench = Bench(stored)
    bench.later(0)
    bench.later(HOLD)
    assert bench.keys == ["old_1"]
    bench.registry()
    bench.later(HOLD)
    assert bench.removed == {"models_m": "not-listed", "old_1": "not-listed"}


def dated_version(created: str) -> dict[str, Any]:
    return {**one_version(createTimeSinceEpoch=created), "models": model(createTimeSinceEpoch="1600")}


def named_otherwise(stored: Mapping[str, Stored], *, created: str = "1700", discovered: bool = True) -> Bench:
    """A later run, in which the registry goes by another name, after its first reading."""
    bench = Bench(stored)
    bench.book.set_search("exhaustive" if discovered else "waiting")
    bench.book.declare("registry:public", "registry")
    bench.registry(PUBLIC, **dated_version(created))
    return bench


@pytest.fixture
def stored_version(bench: Bench) -> Mapping[str, Stored]:
    """The entry of a version, with times of creation."""
    bench.registry(**dated_version("1700"))
    (key,) = [key for key, entry in bench.storage.items() if entry.ref == VERSION]
    return {key: bench.storage[key]}


def test_a_version_keeps_its_key_when_its_registry_is_named_otherwise(stored_version: Mapping[str, Stored]) -> None:
    later = named_otherwise(stored_version)
    (key,) = stored_version
    assert later.storage.keys() == {key}
    assert later.storage[key].ref == "registry:public:1:10"
    assert later.storage[key].model_name == stored_version[key].model_name
    assert later.removed == {}
    later.now += 2 * HOLD
    later.render()
    assert later.storage.keys() == {key}


def test_a_version_with_another_time_of_creation_takes_no_entry_over(stored_version: Mapping[str, Stored]) -> None:
    later = named_otherwise(stored_version, created="1800")
    assert len(later.storage) == 2
    assert later.storage[next(iter(stored_version))].ref == VERSION


def test_a_version_waits_with_its_name_until_it_is_known_that_its_registry_is_gone(
    stored_version: Mapping[str, Stored],
) -> None:
    later = named_otherwise(stored_version, discovered=False)
    assert later.storage == stored_version
    later.book.set_search("exhaustive")
    later.desired.renderer.await_registries(frozenset())
    later.render()
    (entry,) = later.storage.values()
    assert entry.ref == "registry:public:1:10"


def test_two_registries_that_show_the_same_version_each_have_an_entry(stored_version: Mapping[str, Stored]) -> None:
    bench = Bench(stored_version)
    bench.registry(**dated_version("1700"))
    bench.book.declare("registry:public", "registry")
    bench.registry(PUBLIC, **dated_version("1700"))
    assert {entry.ref for entry in bench.storage.values()} == {VERSION, "registry:public:1:10"}


def version_upsert() -> Upsert:
    """The document of the version that shows the isvc, as it is stored when nothing is in the way."""
    bench = Bench()
    bench.isvc(objects.isvc("m", labels=LABELS))
    bench.registry(**one_version())
    return bench.desired.wanted["granite_v1"]


def alone_upsert() -> Upsert:
    bench = Bench()
    bench.isvc(objects.isvc("m", labels=LABELS))
    return bench.desired.wanted["models_m"]


def rendered_in(order: list[int]) -> Mapping[str, Upsert]:
    bench = Bench()
    steps = [
        lambda: bench.isvc(objects.isvc("m", labels=LABELS)),
        lambda: bench.isvc(objects.isvc("other")),
        lambda: bench.registry(**one_version()),
    ]
    for step in order:
        steps[step]()
    return bench.desired.wanted


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]])
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    assert rendered_in(order) == rendered_in([0, 2, 1])


def llm(name: str) -> Ref:
    return Ref.deployment("LLMInferenceService", "local", "models", name)


def test_two_kinds_of_one_name_are_two_models(bench: Bench) -> None:
    bench.isvc(objects.isvc("qwen"))
    bench.desired.put("kserve-llm", llm("qwen"), read_llmisvc(objects.llm_isvc("qwen")))
    bench.render()
    refs = {upsert.ref: upsert for upsert in bench.desired.wanted.values()}
    assert refs.keys() == {"isvc:local:models/qwen", "llmisvc:local:models/qwen"}
    assert refs["isvc:local:models/qwen"].key == "models_qwen"
    assert len({upsert.key for upsert in refs.values()}) == len({upsert.model_name for upsert in refs.values()}) == 2
    assert refs["llmisvc:local:models/qwen"].source == "kserve-llm"


def test_a_service_belongs_to_the_kind_that_owns_it(bench: Bench) -> None:
    obj = objects.llm_isvc("qwen", url=None)
    obj["status"]["addresses"] = []
    bench.isvc(objects.isvc("qwen"))
    bench.desired.put("kserve-llm", llm("qwen"), read_llmisvc(obj))
    service = objects.predictor_service(obj)
    service["metadata"]["name"] = "qwen-kserve-workload-svc"
    bench.put(Ref("service", "local", ("models", "qwen-kserve-workload-svc")), read_service(service))
    bench.render()
    (shown,) = (u for u in bench.desired.wanted.values() if u.ref.startswith("llmisvc:"))
    assert b"qwen-kserve-workload-svc.models.svc.cluster.local" in shown.body
    assert "qwen-kserve" not in str(bench.document("models_qwen"))


def test_what_becomes_known_of_a_connection_is_shown_where_it_is_used(bench: Bench) -> None:
    obj = objects.isvc("m", annotations={"opendatahub.io/connections": "bucket"})
    obj["spec"] = {"predictor": {"model": {"storage": {"key": "bucket", "path": "x"}}}}
    bench.isvc(obj)
    bench.isvc(objects.isvc("other"))
    assert "artifactLocationURL" not in bench.document("models_m")["models"][0]

    bucket = Ref("connection", "local", ("models", "bucket"))
    known = Connection(namespace="models", name="bucket", type="s3", found_by_kserve=True, bucket="acme")
    bench.put(bucket, known)
    bench.render()
    assert bench.document("models_m")["models"][0]["artifactLocationURL"] == "s3://acme/x"

    bench.put(bucket, replace(known, state="pod", buckets=(("m", "former"), ("other", "acme"))))
    bench.render()
    assert bench.document("models_m")["models"][0]["artifactLocationURL"] == "s3://former/x"

    bench.isvc(objects.isvc("m"))
    bench.desired.put("kserve", bucket, Gone())
    assert bench.desired.take_dirty() == set()


def test_a_runtime_tells_what_its_deployments_speak(bench: Bench) -> None:
    obj = objects.isvc("m")
    obj["spec"]["predictor"]["model"] = {"modelFormat": {"name": "acme"}, "runtime": "acme"}
    bench.isvc(obj)
    for namespace, protocol in (("", "v1"), ("models", "grpc-v2")):
        runtime = read_runtime({"metadata": {"name": "acme"}, "spec": {"protocolVersions": [protocol]}})
        bench.put(Ref("runtime", "local", (namespace, "acme")), runtime)
        bench.render()
        assert ("kserve-v1" if protocol == "v1" else '"grpc"') in details(bench, "models_m")
    bench.put(Ref("runtime", "local", ("models", "acme")), Gone())
    bench.render()
    assert "kserve-v1" in details(bench, "models_m")


def details(bench: Bench, key: str) -> str:
    return bench.desired.wanted[key].details.decode()
