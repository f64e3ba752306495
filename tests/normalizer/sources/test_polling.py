"""Registries and catalogs: found, polled and gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import structlog.testing

from common.clocks import loop_time
from common.http.errors import Unreachable
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.sources.http import for_each
from services.normalizer.sources.kubeflow.cards import Catalogs
from services.normalizer.sources.kubeflow.catalog import Catalog
from services.normalizer.sources.kubeflow.poller import RegistryPoller
from services.normalizer.sources.refs import SourceRef
from services.normalizer.sources.registry_manager import PollingOptions, RegistryManager
from services.normalizer.sources.registry_source import Look
from tests import waiting
from tests.fakes.registry import MODELS, VERSIONS, FakeCatalog, FakeRegistry
from tests.normalizer.sources.support import ARTIFACTS, CARDS, LISTS, Recorder, connector, live, new_metrics, ref_of
from tests.simulation.loop import simulated

POLLING = PollingOptions()
SLOW = PollingOptions(interval=86400, card_refresh=86400)
"""Nothing is read again by itself while a test waits."""
HOUR = 3600.0


async def eventually(check: Callable[[], object], *, interval: float = 0.25, what: str = "condition") -> object:
    """Wait long enough for cards to be read again, which takes a moment in a simulation."""
    return await waiting.eventually(check, timeout=3 * HOUR, interval=interval, what=what)


@asynccontextmanager
async def following(
    *servers: FakeRegistry | FakeCatalog,
    refs: list[SourceRef],
    options: PollingOptions = POLLING,
    **connection: Any,
) -> AsyncIterator[tuple[RegistryManager, Recorder]]:
    recorder = Recorder()
    source = RegistryManager(connector=connector(*servers, **connection), listener=recorder, options=options)
    source.update(refs)
    task = asyncio.create_task(source.run())
    try:
        yield source, recorder
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@simulated
async def test_the_first_poll_is_at_once() -> None:
    async with FakeRegistry() as registry:
        registry.populate(2)
        async with following(refs=[ref_of(registry)], options=SLOW) as (_, recorder):
            await eventually(lambda: recorder.readings, what="first reading")

    [(ref, reading)] = recorder.readings
    assert (ref.id, reading.complete, len(live(reading))) == ("models/public", True, 2)
    assert recorder.order == ["state", "reading"]
    assert recorder.kinds("models/public") == ["ok"]


@simulated
async def test_polls_go_on_and_bring_what_changed() -> None:
    async with FakeRegistry() as registry, following(refs=[ref_of(registry)]) as (_, recorder):
        await eventually(lambda: recorder.readings)
        registry.populate(1)
        await eventually(lambda: live(recorder.readings[-1][1]) == {("model-0001", "v1")})
        registry.archive(MODELS, "1")
        await eventually(lambda: not live(recorder.readings[-1][1]))


@simulated
async def test_a_hanging_registry_delays_no_other() -> None:
    async with FakeRegistry() as hanging, FakeRegistry() as lively:
        hanging.fail("hang")
        lively.populate(1)
        refs = [ref_of(hanging, name="models/hanging"), ref_of(lively, name="models/lively")]
        async with following(refs=refs, timeout=3600) as (_, recorder):
            await eventually(lambda: len(recorder.readings) >= 3)

    assert {ref.id for ref, _ in recorder.readings} == {"models/lively"}


@simulated
async def test_a_change_of_state_is_reported_and_logged_once() -> None:
    metrics = new_metrics()
    async with FakeRegistry() as registry:
        registry.populate(1)
        refs = [ref_of(registry)]
        with structlog.testing.capture_logs() as logs:
            async with following(refs=refs, metrics=metrics) as (_, recorder):
                await eventually(lambda: recorder.readings)
                registry.fail("status", status=403)
                await eventually(lambda: sum(reading.fault is not None for _, reading in recorder.readings) >= 3)
                registry.heal()
                await eventually(lambda: recorder.readings[-1][1].fault is None)
                counted, source = metrics.registry.get_sample_value, {"source": "registry:models/public"}
                refused = counted("rhoai_connector_source_requests_total", source | {"code": "403"})
                polls = counted("rhoai_connector_source_poll_seconds_count", source)

    assert recorder.kinds("models/public") == ["ok", "forbidden", "ok"]
    assert counted("rhoai_connector_source_poll_seconds_count", source) is None, "it is followed no longer"
    assert refused is not None
    assert refused >= 15
    assert polls is not None
    assert polls >= len(recorder.readings)
    told = [entry for entry in logs if entry["log_level"] != "debug"]
    assert [(entry["log_level"], entry["event"], entry["source"]) for entry in told] == [
        ("info", "source_readable", "model registry models/public"),
        ("warning", "source_unreadable", "model registry models/public"),
        ("info", "source_readable", "model registry models/public"),
    ]
    assert (told[0]["again"], told[2]["again"]) == (False, True)
    assert "RoleBinding in namespace models" in told[1]["remedy"]
    assert all(live(reading) == {("model-0001", "v1")} for _, reading in recorder.readings)


@simulated
async def test_a_registry_that_is_down_at_the_start_comes() -> None:
    async with FakeRegistry() as registry:
        registry.populate(1)
        await registry.down()
        async with following(refs=[ref_of(registry)]) as (_, recorder):
            await eventually(lambda: recorder.kinds("models/public") == ["unreachable"])
            await registry.up()
            await eventually(lambda: recorder.kinds("models/public") == ["unreachable", "ok"])

    assert recorder.readings[-1][1].complete


@simulated
async def test_gone_is_not_down() -> None:
    async with FakeRegistry() as one, FakeRegistry() as two:
        refs = [ref_of(one, name="models/one"), ref_of(two, name="models/two")]
        async with following(refs=refs) as (source, recorder):
            await eventually(lambda: recorder.last("models/one") and recorder.last("models/two"))
            source.update(refs[1:])
            await eventually(lambda: recorder.gone)
            one.counted(reset=True)
            before = len(recorder.readings)
            await eventually(lambda: len(recorder.readings) > before + 3)
            assert one.counted() == {}
            source.update(refs)
            await eventually(lambda: one.counted().get("GET serving_environments"))

    assert [ref.id for ref in recorder.gone] == ["models/one"]


@simulated
async def test_a_registry_that_moves_is_followed_and_known() -> None:
    async with FakeRegistry() as registry, following(refs=[ref_of(registry)], options=SLOW) as (source, recorder):
        await eventually(lambda: recorder.readings)
        registry.populate(3)
        assert len(live(await polled(source, recorder))) == 3
        registry.counted(reset=True)
        source.update([replace(ref_of(registry), url=registry.url.replace("127.0.0.1", "localhost"))])
        await eventually(lambda: len(recorder.readings) == 3)

        assert registry.counted() == LISTS
        assert recorder.readings[-1][1].touched == frozenset()
        assert recorder.gone == []


@simulated
async def test_without_an_address_it_waits_for_one() -> None:
    async with FakeRegistry() as registry:
        ref = ref_of(registry)
        async with following(refs=[replace(ref, url="")], options=SLOW) as (source, recorder):
            await eventually(lambda: recorder.kinds(ref.id) == ["no-address"])
            assert recorder.readings == []
            source.update([ref])
            await eventually(lambda: recorder.readings)
            source.update([replace(ref, url="")])
            poll_now(source)
            await eventually(lambda: len(recorder.readings) == 2)

    assert recorder.readings[-1][1].complete
    assert recorder.kinds(ref.id) == ["no-address", "ok"]


async def test_no_verification_is_a_warning() -> None:
    """With real sockets, because a simulation has no TLS."""
    async with FakeRegistry(tls=True) as registry:
        with structlog.testing.capture_logs() as logs:
            async with following(refs=[ref_of(registry, verify=False)]) as (_, recorder):
                await eventually(lambda: recorder.readings)
            async with following(refs=[ref_of(registry)]) as (_, untrusting):
                await eventually(lambda: untrusting.readings)

    assert recorder.readings[0][1].complete
    assert untrusting.kinds("models/public") == ["certificate"]
    [warning] = [entry for entry in logs if entry["event"] == "certificate_not_verified"]
    assert "MODEL_REGISTRY_INSECURE" in warning["remedy"]


@simulated
async def test_a_version_is_looked_up_between_polls() -> None:
    async with FakeRegistry() as registry, following(refs=[ref_of(registry)], options=SLOW) as (source, recorder):
        await eventually(lambda: recorder.readings)
        registry.counted(reset=True)
        registry.populate(1)
        source.look_up("models/public", "1", "1")
        source.look_up("models/unknown", "1", "1")
        await eventually(lambda: recorder.sinks["models/public"].known)

        assert registry.counted() == {"GET registered_models/{id}": 1, "GET model_versions/{id}": 1, ARTIFACTS: 1}
        [version] = recorder.sinks["models/public"].known.values()
        assert (version.model.name, version.version.name) == ("model-0001", "v1")
        assert len(recorder.readings) == 1, "it is no poll"


@simulated
async def test_a_version_that_cannot_be_worked_with_between_polls_ends_neither_polls_nor_other_look_ups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_up = RegistryPoller.look_up

    async def broken(self: RegistryPoller, model: str, version: str) -> Look:
        if version == "2":
            raise ValueError("nobody thought of that")
        return await look_up(self, model, version)

    monkeypatch.setattr(RegistryPoller, "look_up", broken)
    async with FakeRegistry() as registry, following(refs=[ref_of(registry)], options=SLOW) as (source, recorder):
        await eventually(lambda: recorder.readings)
        registry.populate(1)
        with structlog.testing.capture_logs() as logs:
            source.look_up("models/public", "1", "2")
            source.look_up("models/public", "1", "1")
            await eventually(lambda: recorder.sinks["models/public"].known)
        [line] = [line for line in logs if line["event"] == "version_not_processed"]
        assert (line["source"], line["model"], line["version"]) == (ref_of(registry).label, "1", "2")
        assert line["exc_info"]
        await polled(source, recorder)


@asynccontextmanager
async def carded(
    models: int = 3, options: PollingOptions = SLOW, **connection: Any
) -> AsyncIterator[tuple[FakeRegistry, FakeCatalog, RegistryManager, Recorder]]:
    """A registry and a catalog, with a card for each model but the last, after the first poll."""
    async with FakeRegistry() as registry, FakeCatalog() as catalog:
        registry.populate(models)
        for number in range(1, models):
            catalog.put_card("curated", f"example/model-{number:04}", f"# {number}")
        refs = [ref_of(registry), ref_of(catalog, name="models/catalog")]
        async with following(refs=refs, options=options, **connection) as (source, recorder):
            await eventually(lambda: recorder.readings)
            yield registry, catalog, source, recorder


def poll_now(manager: RegistryManager) -> None:
    """Poll all registries without waiting for the end of the interval."""
    for source, _ in manager._sources.values():
        source.poll_now()


async def polled(source: RegistryManager, recorder: Recorder) -> Any:
    before = len(recorder.readings)
    poll_now(source)
    await eventually(lambda: len(recorder.readings) > before)
    return recorder.readings[-1][1]


@simulated
async def test_cards_come_with_their_models_and_cost_nothing_afterwards() -> None:
    async with carded() as (registry, catalog, source, recorder):
        [first] = recorder.cards
        counts = catalog.counted(reset=True)
        registry.counted(reset=True)
        again = await polled(source, recorder)

        assert first == {"curatedexamplemodel-0001": "# 1", "curatedexamplemodel-0002": "# 2"}
        # Whether it answers at all was asked before anyone wanted a card, and again with the cards.
        assert counts.pop("GET sources") <= 2
        assert counts == {"GET /api/model_catalog/v1/sources": 1, CARDS: 3}
        assert catalog.counted() == {}
        assert registry.counted() == LISTS
        assert (recorder.cards, again.touched, again.complete) == ([first], frozenset(), True)
        assert recorder.kinds("models/catalog") == ["ok"]


@simulated
async def test_cards_that_nothing_refers_to_any_more_are_forgotten() -> None:
    async with carded() as (registry, _, source, recorder):
        registry.archive(MODELS, "1")
        await polled(source, recorder)
        assert recorder.forgotten == {"curatedexamplemodel-0001"}
        registry.restore(MODELS, "1")
        await polled(source, recorder)
        await eventually(lambda: any("curatedexamplemodel-0001" in cards for cards in recorder.cards[1:]))


@simulated
async def test_cards_that_deployments_name_are_read_without_any_registry() -> None:
    model = CatalogModel("curated", "", "example/alone")
    async with FakeCatalog() as catalog:
        catalog.put_card("curated", "example/alone", "# 1")
        refs = [ref_of(catalog, name="models/catalog")]
        async with following(refs=refs, options=POLLING) as (source, recorder):
            source.want_cards({model})
            await eventually(lambda: recorder.cards == [{model.key: "# 1"}], what="the card")
            catalog.fail("status", status=404)
            catalog.counted(reset=True)
            await eventually(lambda: "absent" in recorder.kinds("models/catalog"), what="the catalog to be absent")
            catalog.heal()
            catalog.put_card("curated", "example/alone", "# 2")
            await eventually(lambda: len(recorder.cards) > 1, what="the edited card")
            assert recorder.cards[1:] == [{model.key: "# 2"}]
            catalog.drop_card("curated", "example/alone")
            await eventually(lambda: recorder.cards[2:] == [{model.key: None}], what="its end")

            other = CatalogModel("curated", "", "example/other")
            source.want_cards({other})
            catalog.put_card("curated", "example/alone", "# 3")
            for text in ("# 1", "# 2"):
                catalog.put_card("curated", "example/other", text)
                await eventually(lambda: recorder.cards[-1] == {other.key: text}, what=text)  # noqa: B023
            assert len(recorder.cards) == 5, "the card that no one wants any more was not read again"


@pytest.mark.parametrize("broken", [(Catalog, "begin"), (Catalogs, "_connect")])
@simulated
async def test_an_internal_error_with_cards_is_logged_and_they_are_read_again(
    broken: tuple[type, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, method = broken
    works = getattr(owner, method)
    failures = 0

    async def fails_once(self: Any) -> None:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise ValueError("nobody thought of that")
        await works(self)

    monkeypatch.setattr(owner, method, fails_once)
    model = CatalogModel("curated", "", "example/alone")
    async with FakeCatalog() as catalog:
        catalog.put_card("curated", "example/alone", "# 1")
        refs = [ref_of(catalog, name="models/catalog")]
        with structlog.testing.capture_logs() as logs:
            async with following(refs=refs, options=POLLING) as (source, recorder):
                source.want_cards({model})
                await eventually(lambda: recorder.cards == [{model.key: "# 1"}], what="the card")
        [line] = [line for line in logs if line["event"] == "card_not_processed"]
        assert line["exc_info"]


@simulated
async def test_a_name_with_the_key_of_a_registrys_card_does_not_end_it() -> None:
    async with carded(options=POLLING) as (_, catalog, source, recorder):
        other = CatalogModel("cur", "", "atedexamplemodel-0001")
        source.want_cards({other, CatalogModel("curated", "", "example/model-0002")})
        catalog.counted(reset=True)
        await eventually(lambda: catalog.counted().get(CARDS, 0) >= 20)
    assert {cards[other.key] for cards in recorder.cards if other.key in cards} == {"# 1"}


@simulated
async def test_a_card_is_read_again_when_its_version_changed() -> None:
    async with carded() as (registry, catalog, source, recorder):
        catalog.counted(reset=True)
        catalog.put_card("curated", "example/model-0001", "changed")
        catalog.put_card("curated", "example/model-0002", "changed too")
        await polled(source, recorder)
        assert len(recorder.cards) == 1, "nothing was noticed"
        registry.edit(VERSIONS, "1", description="new")
        await polled(source, recorder)
        await eventually(lambda: recorder.cards[1:] == [{"curatedexamplemodel-0001": "changed"}], what="the card")

        assert catalog.counted() == {"GET sources": 1, CARDS: 1}


@simulated
async def test_a_card_is_read_again_when_it_is_old() -> None:
    async with carded(options=POLLING) as (_, catalog, _, recorder):
        catalog.put_card("curated", "example/model-0001", "changed")
        catalog.put_card("curated", "example/model-0003", "new")
        catalog.drop_card("curated", "example/model-0002")
        changed = {
            "curatedexamplemodel-0001": "changed",
            "curatedexamplemodel-0002": None,
            "curatedexamplemodel-0003": "new",
        }
        await eventually(lambda: recorder.told_cards == changed)


@simulated
async def test_a_catalog_that_starts_takes_no_card_away() -> None:
    async with carded(options=POLLING) as (_, catalog, _, recorder):
        catalog.fail("starting")
        await eventually(lambda: recorder.kinds("models/catalog")[-1] == "absent")
        asked = len(recorder.readings)
        await eventually(lambda: len(recorder.readings) > asked + 5)
        catalog.put_card("curated", "example/model-0001", "changed")
        catalog.heal()
        await eventually(lambda: recorder.told_cards["curatedexamplemodel-0001"] == "changed")

    assert all(cards.get("curatedexamplemodel-0002", "# 2") == "# 2" for cards in recorder.cards)
    assert recorder.kinds("models/catalog") == ["ok", "absent", "ok"]


@simulated
async def test_a_card_that_a_catalog_lacks_once_stays_until_a_later_look_agrees() -> None:
    async with carded(options=POLLING) as (_, catalog, _, recorder):
        catalog.counted(reset=True)
        catalog.fail("status", "sources/*", status=404, times=2)
        await eventually(lambda: catalog.counted().get(CARDS, 0) >= 12)
        told = {key for cards in recorder.cards[1:] for key in cards}
        assert told <= {"curatedexamplemodel-0003"}, "which has none"
        catalog.drop_card("curated", "example/model-0001")
        dropped = loop_time()
        await eventually(lambda: recorder.cards[-1] == {"curatedexamplemodel-0001": None}, what="its end")
        # The next look is after `card_refresh`, which is spread by a tenth, and the one that agrees a minute later.
        assert loop_time() - dropped < 1.1 * POLLING.card_refresh + 2 * 60


@pytest.mark.parametrize("versions", [("v1", "v1alpha1"), ("v1",), ("v1alpha1",)], ids=" and ".join)
@simulated
async def test_a_catalog_is_asked_in_the_newest_version_that_it_serves(versions: tuple[str, ...]) -> None:
    async with FakeRegistry() as registry, FakeCatalog(versions=versions) as catalog:
        registry.populate(1)
        catalog.put_card("curated", "example/model-0001", "# 1")
        refs = [ref_of(registry), ref_of(catalog, name="models/catalog")]
        async with following(refs=refs, options=SLOW) as (_, recorder):
            await eventually(lambda: recorder.readings)

        assert recorder.cards == [{"curatedexamplemodel-0001": "# 1"}]
        refused = [path for path in catalog.counted() if "/api/model_catalog/" in path]
        assert refused == ([] if "v1" in versions else ["GET /api/model_catalog/v1/sources"])


@simulated
async def test_names_as_dashboards_write_them_since_september_2025() -> None:
    async with FakeRegistry() as registry, FakeCatalog(versions=["v1"]) as catalog:
        registry.populate(2, grouped=False)
        version = registry.add_version(registry.add_model("plain"), "v1")
        registry.add_artifact(
            version, uri="oci://p", modelSourceKind="catalog", modelSourceClass="curated", modelSourceName="plain-name"
        )
        other = registry.add_version(registry.add_model("piped"), "v1")
        registry.add_artifact(
            other, uri="oci://k", modelSourceKind="kfp", modelSourceClass="curated", modelSourceName="run-7"
        )
        odd = registry.add_version(registry.add_model("odd"), "v1")
        registry.add_artifact(odd, uri="oci://o", modelSourceClass="curated", modelSourceName="x" * 300)
        climbing = registry.add_version(registry.add_model("climbing"), "v1")
        registry.add_artifact(climbing, uri="oci://c", modelSourceClass="..", modelSourceName="../../admin")
        for name in ("example/model-0001", "example/model-0002", "plain-name", "run-7"):
            catalog.put_card("curated", name, f"# {name}")
        refs = [ref_of(registry), ref_of(catalog, name="models/catalog")]
        async with following(refs=refs, options=SLOW) as (_, recorder):
            await eventually(lambda: recorder.readings)

        assert recorder.told_cards == {
            "curatedexample/model-0001": "# example/model-0001",
            "curatedexample/model-0002": "# example/model-0002",
            "curatedplain-name": "# plain-name",
        }
        assert recorder.kinds("models/catalog") == ["ok"]
        assert catalog.counted()[CARDS] == 4
        assert not [path for path in catalog.counted() if "admin" in path]


@simulated
async def test_a_card_that_is_too_large_is_shortened_and_told() -> None:
    with structlog.testing.capture_logs() as logs:
        async with FakeRegistry() as registry, FakeCatalog() as catalog:
            registry.populate(2)
            catalog.put_card("curated", "example/model-0001", "x" * 1_500_000)
            catalog.put_card("curated", "example/model-0002", "# 2")
            refs = [ref_of(registry), ref_of(catalog, name="models/catalog")]
            async with following(refs=refs, options=SLOW) as (_, recorder):
                await eventually(lambda: recorder.readings)

    cards = recorder.told_cards
    assert cards["curatedexamplemodel-0002"] == "# 2"
    assert "left out here" in (cards["curatedexamplemodel-0001"] or "")
    assert [line["object"] for line in logs if line["event"] == "card_too_long"] == [
        "model model-0001 of source curated"
    ]


@simulated
async def test_many_cards_of_a_slow_catalog_delay_no_poll() -> None:
    async with FakeRegistry() as registry, FakeCatalog() as catalog:
        registry.populate(1000)
        catalog.fail("slow", "sources/*", seconds=4)
        refs = [ref_of(registry), ref_of(catalog, name="models/catalog")]
        async with following(refs=refs) as (_, recorder):
            await eventually(lambda: recorder.order.count("reading") >= 4)
            assert catalog.counted()[CARDS] < 1000


@simulated
async def test_a_later_catalog_displaces_no_card_of_an_earlier_one_that_fails() -> None:
    async with FakeRegistry() as registry, FakeCatalog() as one, FakeCatalog() as two:
        registry.populate(1)
        one.put_card("curated", "example/model-0001", "# the first")
        two.put_card("curated", "example/model-0001", "# the second")
        refs = [ref_of(registry), ref_of(one, name="models/a"), ref_of(two, name="models/b")]
        async with following(refs=refs) as (_, recorder):
            await eventually(lambda: recorder.cards)
            await one.down()
            await eventually(lambda: two.counted().get(CARDS, 0) >= 3)

    texts = {text for cards in recorder.cards for text in cards.values()}
    assert texts == {"# the first"}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 503}, "unavailable"),
        ({"kind": "status", "status": 401}, "unauthorized"),
        ({"kind": "empty"}, "answer"),
        ({"kind": "login"}, "answer"),
        ({"kind": "hang"}, "timeout"),
    ],
)
@simulated
async def test_a_catalog_that_fails_loses_no_card(fault: dict[str, Any], kind: str) -> None:
    async with carded(options=POLLING) as (registry, catalog, _, recorder):
        catalog.fail(**fault)
        await eventually(lambda: kind in recorder.kinds("models/catalog"))
        failed_at = len(recorder.cards)
        catalog.put_card("curated", "example/model-0001", "changed")
        registry.edit(MODELS, "1", description="the registry is still read")
        await eventually(lambda: recorder.readings[-1][1].models["1"].description == "the registry is still read")
        assert recorder.cards[failed_at:] == []
        catalog.heal()
        await eventually(lambda: recorder.told_cards["curatedexamplemodel-0001"] == "changed")

        assert recorder.kinds("models/catalog")[-1] == "ok"
        assert recorder.kinds("models/public") == ["ok"]


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 500}, {"kind": "empty"}])
@simulated
async def test_one_model_that_a_catalog_fails_for_waits_alone(fault: dict[str, Any]) -> None:
    model = CatalogModel("curated", "", "broken")
    with structlog.testing.capture_logs() as logs:
        async with carded(options=POLLING) as (_, catalog, source, recorder):
            catalog.put_card("curated", "broken", "# of one that was broken")
            catalog.fail(**fault, ending="/sources/curated/models/broken")
            source.want_cards({model})
            await eventually(lambda: any(line["event"] == "card_unreadable" for line in logs), what="the warning")
            for text in ("changed", "changed again"):
                catalog.put_card("curated", "example/model-0001", text)
                await eventually(partial(told_card, recorder, "curatedexamplemodel-0001", text))
            catalog.heal()
            await eventually(lambda: recorder.told_cards.get(model.key) == "# of one that was broken")
            assert recorder.kinds("models/catalog") == ["ok"]
    [line] = [line for line in logs if line["event"] == "card_unreadable"]
    assert line["object"] == "model broken of source curated"


@simulated
async def test_a_catalog_that_answers_and_fails_for_all_models_is_let_alone() -> None:
    async with carded(options=POLLING) as (_, catalog, _, recorder):
        catalog.fail("status", "sources/{id}/*", status=500)
        await eventually(lambda: recorder.kinds("models/catalog")[-1] == "error")
        catalog.put_card("curated", "example/model-0001", "changed")
        catalog.heal()
        await eventually(lambda: recorder.told_cards.get("curatedexamplemodel-0001") == "changed")
    kinds = recorder.kinds(
        "models/catalog"
    )  # on a busy machine models are asked for in turn: a few alone are no outage
    assert (kinds[:2], kinds[-1]) == (["ok", "error"], "ok")


def told_card(recorder: Recorder, key: str, text: str) -> bool:
    return recorder.told_cards.get(key) == text


@simulated
async def test_a_catalog_that_hangs_is_let_alone() -> None:
    async with FakeRegistry() as registry, FakeCatalog() as catalog:
        registry.populate(30)
        catalog.fail("hang")
        refs = [ref_of(registry), ref_of(catalog, name="models/catalog")]
        async with following(refs=refs) as (_, recorder):
            await eventually(lambda: len(recorder.readings) >= 2)

            assert recorder.readings[0][1].complete
            assert recorder.cards == []
            assert catalog.counted().get(CARDS, 0) <= 20


@simulated
async def test_a_catalog_that_appears_is_asked() -> None:
    async with FakeRegistry() as registry, FakeCatalog() as catalog:
        registry.populate(1)
        catalog.put_card("curated", "example/model-0001", "# card")
        refs = [ref_of(registry)]
        async with following(refs=refs, options=SLOW) as (source, recorder):
            await eventually(lambda: recorder.readings)
            source.update([*refs, ref_of(catalog, name="models/catalog")])
            await eventually(lambda: recorder.cards)
            source.update(refs)
            await eventually(lambda: recorder.gone)

    assert recorder.cards == [{"curatedexamplemodel-0001": "# card"}]
    assert [ref.id for ref in recorder.gone] == ["models/catalog"]


@simulated
async def test_the_second_catalog_is_asked_for_what_the_first_lacks() -> None:
    async with FakeRegistry() as registry, FakeCatalog() as first, FakeCatalog() as second:
        registry.populate(3)
        first.put_card("curated", "example/model-0001", "of the first")
        second.put_card("curated", "example/model-0001", "of the second")
        second.put_card("curated", "example/model-0002", "of the second")
        refs = [ref_of(registry), ref_of(first, name="models/a"), ref_of(second, name="models/b")]
        async with following(refs=refs, options=SLOW) as (_, recorder):
            await eventually(lambda: recorder.readings)

    assert recorder.told_cards == {
        "curatedexamplemodel-0001": "of the first",
        "curatedexamplemodel-0002": "of the second",
    }


@simulated
async def test_cards_that_take_long_come_after_the_models() -> None:
    async with FakeRegistry() as registry, FakeCatalog() as catalog:
        registry.populate(12)
        for number in range(1, 13):
            catalog.put_card("curated", f"example/model-{number:04}", f"# {number}")
        catalog.fail("slow", seconds=1)
        refs = [ref_of(registry), ref_of(catalog, name="models/catalog")]
        async with following(refs=refs, options=SLOW, concurrency=1) as (_, recorder):
            await eventually(lambda: len(recorder.told_cards) == 12)

    assert recorder.order.index("reading") < recorder.order.index("cards"), "the models do not wait"
    assert recorder.kinds("models/catalog") == ["ok"]


@simulated
async def test_a_server_that_asks_to_be_left_alone_for_a_day_is_asked_after_the_interval() -> None:
    async with FakeRegistry() as registry:
        registry.fail("status", status=503, retry_after=86400)
        async with following(refs=[ref_of(registry)]) as (_, recorder):
            await eventually(lambda: recorder.kinds("models/public") == ["unavailable"])
            registry.heal()
            await eventually(lambda: recorder.kinds("models/public") == ["unavailable", "ok"])


@simulated
async def test_what_cannot_be_worked_with_ends_neither_its_registry_nor_others(monkeypatch: pytest.MonkeyPatch) -> None:
    poll = RegistryPoller.poll

    async def broken(self: RegistryPoller) -> Look:
        if broken_ones and self._remote.ref.id == "models/one":
            raise ValueError("no one thought of that")
        return await poll(self)

    broken_ones = ["models/one"]
    monkeypatch.setattr(RegistryPoller, "poll", broken)
    async with FakeRegistry() as one, FakeRegistry() as two:
        refs = [ref_of(one, name="models/one"), ref_of(two, name="models/two")]
        with structlog.testing.capture_logs() as logs:
            async with following(refs=refs) as (_, recorder):
                await eventually(lambda: recorder.kinds("models/one") == ["internal"])
                await eventually(lambda: len(recorder.readings) >= 3)
                broken_ones.clear()
                await eventually(lambda: recorder.kinds("models/one") == ["internal", "ok"])

    assert recorder.kinds("models/two") == ["ok"]
    assert any(entry.get("exc_info") and "models/one" in entry["source"] for entry in logs)


@pytest.mark.parametrize("attempt", range(20))
@simulated
async def test_a_registry_deleted_while_it_answers_500_is_gone_and_tells_nothing_more(attempt: int) -> None:
    async with FakeRegistry() as registry:
        registry.populate(30)
        registry.fail("status", "model_versions/*", status=500)
        async with following(refs=[ref_of(registry)]) as (source, recorder):
            await eventually(lambda: registry.counted().get(ARTIFACTS, 0) > attempt % 5, interval=0.0001)
            await asyncio.sleep(attempt * 0.0003)
            source.update([])
            await eventually(lambda: recorder.gone)
            told = len(recorder.order)
            registry.counted(reset=True)
            await eventually(lambda: not source._running and recorder.order[-1] == "gone")
            assert len(recorder.order) == told


@simulated
async def test_cancellation_ends_work_that_fails_all_the_time() -> None:
    for delay in range(40):
        begun = asyncio.Event()

        async def fail(thing: int, begun: asyncio.Event = begun, delay: int = delay) -> None:
            begun.set()
            try:
                for _ in range((thing + delay) % 4):
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                await asyncio.sleep(0)  # a request that is cancelled closes its connection first
                raise
            raise Unreachable("http://registry", "refused")

        async def work(fail: Any = fail) -> None:
            while True:
                await for_each(range(50), fail)

        task = asyncio.create_task(work())
        await begun.wait()
        for _ in range(delay):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=10)
        assert done, "the cancellation was lost"
        assert task.cancelled()


@simulated
async def test_one_failure_leaves_the_others_and_many_end_the_attempt() -> None:
    done: list[int] = []

    async def work(thing: int) -> None:
        await asyncio.sleep(0)
        if thing in failing:
            raise Unreachable("http://registry", "refused")
        done.append(thing)

    failing = {3}
    assert list(await for_each(range(100), work)) == [3]
    assert len(done) == 99
    done.clear()
    failing = set(range(100))
    assert len(await for_each(range(100), work, patience=3, width=2)) == 3
