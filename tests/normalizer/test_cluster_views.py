"""What entities get by default where no one says anything, by the source that has them."""

import json

import pytest

from common import details
from common.settings import SettingsError
from services.normalizer.facts import Ref
from services.normalizer.normalize.result import ClusterView, ClusterViews, Defaults
from services.normalizer.settings import NormalizerSettings
from tests import objects
from tests.normalizer.bench import Bench

SETTING = "kserve.owner=ml-team, kserve.system=shop,registry:rhoai-model-registries/public.lifecycle=production"


def test_a_source_has_defaults_of_its_own() -> None:
    defaults = NormalizerSettings.load(source_defaults=SETTING).defaults
    places, ref = ClusterViews(defaults), Ref.isvc("local", "models", "m")

    of_kserve = places.of(ref, "kserve").defaults
    assert (of_kserve.owner, of_kserve.system, of_kserve.lifecycle) == ("ml-team", "system:default/shop", "development")
    of_registry = places.of(ref, "registry:rhoai-model-registries/public").defaults
    assert (of_registry.owner, of_registry.lifecycle) == ("rhdh-rhoai-bridge", "production")
    assert places.of(ref, "manifests") is places.of(ref)


def test_they_are_shown_where_no_one_says_anything() -> None:
    bench = Bench(defaults=NormalizerSettings.load(source_defaults=SETTING).defaults)
    bench.isvc(objects.isvc("plain"))
    bench.isvc(objects.isvc("owned", annotations={"rhdh.io/owner": "ada"}))
    owners = {json.loads(body)["models"][0]["owner"] for body in bench.bodies.values()}
    assert owners == {"ml-team", "ada"}
    assert {details.decode(upsert.details).system for upsert in bench.desired.wanted.values()} == {
        "system:default/shop"
    }


@pytest.mark.parametrize("written", ["owner=x", "kserve.owner", "kserve.tags=x", "kserve.owner=", "=", ".owner=x"])
def test_what_is_no_default_of_a_source_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(
        SettingsError, match=r"SOURCE_DEFAULTS: expected SOURCE\.FIELD=VALUE such as kserve\.owner=ml-team"
    ):
        NormalizerSettings.load(source_defaults=written)


def test_an_mlflow_server_may_be_deployed_from_in_every_cluster() -> None:
    places = ClusterViews(Defaults())
    places.put("east", ClusterView("east"))
    assert places.may_describe("mlflow:team", "east")
    assert places.may_describe("mlflow:team", "local")
    assert not places.may_describe("registries/public", "east")


def test_without_any_defaults_are_those_of_all() -> None:
    defaults = Defaults(owner="x")
    assert defaults.of("kserve") is defaults
