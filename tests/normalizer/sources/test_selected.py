"""What people do not want leaves at once, and comes back under its old key and name."""

import json
from typing import Any

from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.isvc import read_isvc
from services.normalizer.normalize.selection import ALL, Selection, parse_selector
from services.normalizer.sources.selected import Selected
from tests import objects
from tests.normalizer.test_catalogue import SOURCE, Bench

MARK = {"rhdh.modelcatalog.io/ignore": "true"}


class Told:
    """A listener that hands what it is told to a bench."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.others: list[str] = []

    def isvc_changed(
        self, source: Any, key: Any, facts: Deployment | None, *, explicit: bool, bare: bool = False
    ) -> None:
        self.bench.catalogue.put_isvc(source, key, facts, explicit=explicit, bare=bare, now=self.bench.now)
        self.bench.render()

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.others.append(name)


def tell(selected: Selected, obj: dict[str, Any], *, bare: bool = False) -> None:
    metadata = obj["metadata"]
    selected.isvc_changed(SOURCE, (metadata["namespace"], metadata["name"]), read_isvc(obj), explicit=True, bare=bare)


def test_opting_out_is_a_decision_and_can_be_taken_back() -> None:
    bench = Bench()
    selected = Selected(Told(bench), ALL)
    tell(selected, objects.isvc("m"))
    [(key, before)] = bench.storage.items()
    tell(selected, objects.isvc("m", annotations=MARK))
    assert bench.storage == {}
    assert list(bench.removed) == [key]
    tell(selected, objects.isvc("m"))
    [(key_again, after)] = bench.storage.items()
    assert (key_again, after.model_name, after.server_name) == (key, before.model_name, before.server_name)
    assert json.loads(bench.bodies[key])["modelServer"]


def test_a_manifest_without_a_status_may_be_refused_too() -> None:
    bench = Bench()
    selected = Selected(Told(bench), Selection(selector=parse_selector("team=a")))
    tell(selected, objects.isvc("m"), bare=True)
    assert bench.storage == {}
    tell(selected, objects.isvc("m", labels={"team": "a"}), bare=True)
    assert list(bench.storage) == ["models_m"]


def test_everything_else_is_passed_on() -> None:
    told = Told(Bench())
    selected = Selected(told, ALL)
    selected.source_listed(SOURCE.id)
    selected.isvc_changed(SOURCE, ("models", "m"), None, explicit=True)
    assert told.others == ["source_listed"]
