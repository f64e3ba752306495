"""Readers of registries as the normalizer builds them, over the fakes."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from common.metrics import Metrics
from common.secrets import StaticToken
from common.trust import trust_also
from services.normalizer.sources.http import Connector, SourceMetrics
from services.normalizer.sources.kubeflow.poller import RegistryPoller
from services.normalizer.sources.kubeflow.records import RegistryReading
from services.normalizer.sources.refs import RefKind, SourceRef, SourceState
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
    kind: RefKind = "catalog" if isinstance(server, FakeCatalog) else "registry"
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


@asynccontextmanager
async def polling(
    registry: FakeRegistry, *, expected: Sequence[str] = (), **options: object
) -> AsyncIterator[RegistryPoller]:
    async with connector(registry, **options).open(ref_of(registry)) as remote:  # type: ignore[arg-type]
        yield RegistryPoller(remote, expected=expected)


def live(reading: RegistryReading) -> set[tuple[str, str]]:
    """Model and version names of what is live."""
    return {(model.name, version.name) for model, version in reading.snapshot.live()}


class Recorder:
    """A handler that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.readings: list[tuple[SourceRef, RegistryReading]] = []
        self.states: list[tuple[SourceRef, SourceState]] = []
        self.gone: list[SourceRef] = []
        self.forgotten: set[str] = set()
        self.deployment_cards: list[Mapping[str, str | None]] = []
        self.order: list[str] = []

    def on_reading(self, ref: SourceRef, reading: RegistryReading) -> None:
        self.order.append("reading")
        self.readings.append((ref, reading))

    def on_cards(self, ref: SourceRef, reading: RegistryReading) -> None:
        self.order.append("cards")
        self.readings.append((ref, reading))

    def on_cards_forgotten(self, keys: Collection[str]) -> None:
        self.forgotten |= set(keys)

    def on_deployment_cards(self, cards: Mapping[str, str | None]) -> None:
        self.deployment_cards.append(cards)

    def on_state(self, ref: SourceRef, state: SourceState) -> None:
        self.order.append("state")
        self.states.append((ref, state))

    def on_gone(self, ref: SourceRef) -> None:
        self.order.append("gone")
        self.gone.append(ref)

    def last(self, source: str) -> RegistryReading | None:
        return next((reading for ref, reading in reversed(self.readings) if ref.id == source), None)

    def kinds(self, source: str) -> list[str]:
        """The faults that a source went through, "ok" where there was none."""
        return [state.fault.kind if state.fault else "ok" for ref, state in self.states if ref.id == source]
