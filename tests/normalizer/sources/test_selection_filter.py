"""What people do not want leaves at once, and comes back under its old key and name."""

import json
from typing import Any

from common.faults import Fault
from services.normalizer.facts import Gone, Ref
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.selection import ALL, Selection, parse_selector
from services.normalizer.source import News, Sink
from services.normalizer.sourcebook import SourceKind
from services.normalizer.sources.wrappers import SelectionFilter
from tests import objects
from tests.normalizer.bench import Bench, isvc

MARK = {"rhdh.modelcatalog.io/ignore": "true"}


class Told(Sink):
    """Hands what it is told to a bench."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.others: list[object] = []

    def changed(self, news: News) -> None:
        for ref, fact in news.items():
            self.bench.put(ref, fact)

    def listed(self, *, lacking: Fault | None = None) -> None:
        self.others.append("listed")

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        self.others.append((fault, part, partly))


class Script:
    """A source that says what a test has it say."""

    id = "script"
    kind: SourceKind = "kserve"
    namespaces = ("models",)

    async def run(self, sink: Sink) -> None:
        """Keep whom to tell."""
        self.sink = sink

    def relist(self) -> None:
        """There is nothing else to say."""

    async def is_gone(self, ref: Ref) -> bool:
        return ref == isvc("m")


async def selected(bench: Bench, selection: Selection) -> tuple[Sink, Told]:
    script, told = Script(), Told(bench)
    await SelectionFilter(script, selection).run(told)
    return script.sink, told


def tell(sink: Sink, obj: dict[str, Any], *, bare: bool = False) -> None:
    sink.changed({isvc(obj["metadata"]["name"]): read_isvc(obj, planned=bare)})


async def test_opting_out_is_a_decision_and_can_be_taken_back() -> None:
    bench = Bench()
    sink, _ = await selected(bench, ALL)
    tell(sink, objects.isvc("m"))
    [(key, before)] = bench.storage.items()
    tell(sink, objects.isvc("m", annotations=MARK))
    assert bench.storage == {}
    assert list(bench.removed) == [key]
    tell(sink, objects.isvc("m"))
    [(key_again, after)] = bench.storage.items()
    assert (key_again, after.model_name, after.server_name) == (key, before.model_name, before.server_name)
    assert json.loads(bench.bodies[key])["modelServer"]


async def test_a_manifest_without_a_status_may_be_refused_too() -> None:
    bench = Bench()
    sink, _ = await selected(bench, Selection(selector=parse_selector("team=a")))
    tell(sink, objects.isvc("m"), bare=True)
    assert bench.storage == {}
    tell(sink, objects.isvc("m", labels={"team": "a"}), bare=True)
    assert list(bench.storage) == ["models_m"]


async def test_everything_else_is_passed_on() -> None:
    bench = Bench()
    sink, told = await selected(bench, ALL)
    tell(sink, objects.isvc("m"))
    sink.listed()
    sink.state(None, part="services", partly=True)
    sink.changed({isvc("m"): Gone()})
    assert told.others == ["listed", (None, "services", True)]
    assert not bench.storage
    wrapped = SelectionFilter(Script(), ALL)
    assert (wrapped.id, wrapped.namespaces) == ("script", ("models",))
    assert await wrapped.is_gone(isvc("m"))
    assert not await wrapped.is_gone(isvc("other"))
