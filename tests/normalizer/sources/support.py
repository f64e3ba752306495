"""Readers of registries as the normalizer builds them, over the fakes."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from common.faults import Fault
from common.metrics import Metrics
from common.problems import Problem
from common.secrets import StaticToken
from common.trust import trust_also
from services.normalizer.facts import Gone, Missing
from services.normalizer.normalize.registered_version import Record, RegisteredVersion, Registry
from services.normalizer.normalize.registry_objects import ModelArtifact, ModelVersion, RegisteredModel
from services.normalizer.source import News, Sink
from services.normalizer.sources.http import Connector, SourceMetrics
from services.normalizer.sources.kubeflow.poller import RegistryPoller
from services.normalizer.sources.refs import ServerKind, SourceRef
from services.normalizer.sources.registry_source import Look, Poller, RegistrySource
from tests.fakes.registry import FakeCatalog, FakeRegistry

LISTS = {
    "GET registered_models": 1,
    "GET model_versions": 1,
    "GET model_artifacts": 1,
    "GET inference_services": 1,
    "GET serving_environments": 1,
}
"""What a poll costs when nothing changed and everything fits on one page."""
ARTIFACTS = "GET model_versions/{id}/artifacts"
CARDS = "GET sources/{id}/models/{name}"


def new_metrics() -> Metrics:
    return Metrics("test", "0")


def ref_of(server: FakeRegistry | FakeCatalog, *, name: str = "models/public", verify: bool = True) -> SourceRef:
    namespace, _, own = name.partition("/")
    kind: ServerKind = "catalog" if isinstance(server, FakeCatalog) else "registry"
    return SourceRef(id=name, kind=kind, url=server.url, origin="a test", name=own, namespace=namespace, verify=verify)


def connector(
    *servers: FakeRegistry | FakeCatalog,
    token: str | None = None,
    timeout: float = 5,
    concurrency: int = 8,
    body_limit: int = 16 * 1024 * 1024,
    metrics: Metrics | None = None,
) -> Connector:
    return Connector(
        token=StaticToken(token) if token else None,
        ssl=trust_also([("the fakes", "".join(server.ca_pem for server in servers))]),
        metrics=(metrics or new_metrics()).shared(SourceMetrics),
        timeout=timeout,
        concurrency=concurrency,
        body_limit=body_limit,
    )


@dataclass
class Reading:
    """What a look at a registry brought, by ids; `touched` are the versions that are other than at the look before."""

    known: Mapping[str, RegisteredVersion]
    touched: frozenset[str]
    complete: bool
    listed: bool
    fault: Fault | None
    problems: tuple[Problem, ...] = ()
    retry_after: float | None = None
    deleted: Collection[str] = ()

    @property
    def versions(self) -> dict[str, ModelVersion]:
        return {id_: each.version for id_, each in self.known.items()}

    @property
    def models(self) -> dict[str, RegisteredModel]:
        return {each.model.id: each.model for each in self.known.values()}

    @property
    def artifacts(self) -> dict[str, tuple[ModelArtifact, ...]]:
        """Those of versions that were read to the end."""
        return {id_: each.artifacts for id_, each in self.known.items() if each.artifacts is not None}

    @property
    def records(self) -> dict[str, Record]:
        return {record.id: record for each in self.known.values() for record in each.records}

    def live(self) -> list[tuple[RegisteredModel, ModelVersion]]:
        return [(each.model, each.version) for each in self.known.values() if each.is_live]


class Polled:
    """A poller whose looks are compared with the ones before."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._known: Mapping[str, RegisteredVersion] = {}

    async def poll(self) -> Reading:
        return self._compared(await self._poller.poll())

    async def look_up(self, model: str, version: str) -> Reading:
        return self._compared(await self._poller.look_up(model, version))

    def _compared(self, look: Look) -> Reading:
        before, self._known = self._known, look.versions
        touched = {id_ for id_ in before.keys() | look.versions.keys() if before.get(id_) != look.versions.get(id_)}
        return Reading(
            look.versions,
            frozenset(touched),
            look.complete,
            look.listed,
            look.fault,
            look.problems,
            look.retry_after,
            look.deleted,
        )


@asynccontextmanager
async def polling(registry: FakeRegistry, *, expected: Sequence[str] = (), **options: object) -> AsyncIterator[Polled]:
    async with connector(registry, **options).open(ref_of(registry)) as remote:  # type: ignore[arg-type]
        yield Polled(RegistryPoller(remote, expected=expected))


def live(reading: Reading) -> set[tuple[str, str]]:
    """Model and version names of what is live."""
    return {(model.name, version.name) for model, version in reading.live()}


@dataclass
class RecordingSink(Sink):
    """The sink of one registry."""

    recorder: "Recorder"
    source: RegistrySource
    known: dict[str, RegisteredVersion] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    registry: Registry | None = None

    def changed(self, news: News) -> None:
        for ref, fact in news.items():
            if isinstance(fact, Registry):
                self.registry = fact
                continue
            self.touched.add(ref.ids[1])
            if isinstance(fact, RegisteredVersion):
                self.known = {**self.known, ref.ids[1]: fact}
            else:
                assert isinstance(fact, Gone | Missing)
                self.known = {id_: each for id_, each in self.known.items() if id_ != ref.ids[1]}

    def listed(self, *, lacking: Fault | None = None) -> None:
        self._read(lacking, complete=True)

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        if fault is not None and fault.kind not in ("no-address", "internal"):
            self._read(fault, complete=False)

    def _read(self, fault: Fault | None, *, complete: bool) -> None:
        assert self.registry is not None
        touched, self.touched = frozenset(self.touched), set()
        self.recorder.order.append("reading")
        reading = Reading(self.known, touched, complete, self.registry.listed, fault, self.registry.problems)
        self.recorder.readings.append((self.source.ref, reading))


class Recorder:
    """A listener that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.sinks: dict[str, RecordingSink] = {}
        self.readings: list[tuple[SourceRef, Reading]] = []
        self.faults: list[tuple[SourceRef, Fault | None]] = []
        self.gone: list[SourceRef] = []
        self.forgotten: set[str] = set()
        self.cards: list[Mapping[str, str | None]] = []
        self.order: list[str] = []

    def open(self, source: RegistrySource) -> Sink:
        self.sinks[source.ref.id] = RecordingSink(self, source)
        return self.sinks[source.ref.id]

    def on_cards(self, cards: Mapping[str, str | None]) -> None:
        self.order.append("cards")
        self.cards.append(cards)

    def on_cards_forgotten(self, keys: Collection[str]) -> None:
        self.forgotten |= set(keys)

    def on_fault(self, ref: SourceRef, fault: Fault | None) -> None:
        self.order.append("state")
        self.faults.append((ref, fault))

    def on_gone(self, ref: SourceRef) -> None:
        self.order.append("gone")
        self.gone.append(ref)

    def last(self, source: str) -> Reading | None:
        return next((reading for ref, reading in reversed(self.readings) if ref.id == source), None)

    def kinds(self, source: str) -> list[str]:
        """The faults that a source went through, "ok" where there was none."""
        return [fault.kind if fault else "ok" for ref, fault in self.faults if ref.id == source]

    @property
    def told_cards(self) -> dict[str, str | None]:
        """What was told last of each card."""
        return {key: text for cards in self.cards for key, text in cards.items()}
