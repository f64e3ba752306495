"""Model registries put together: found in the cluster and in the settings, polled, and told to the listener."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.kube.reflector import Reflector
from common.kube.replica import Key
from common.kube.resources import ROUTES, SERVICES, Resource
from common.kube.state import State
from common.metrics import Metrics
from common.problems import Problem
from common.secrets import StaticToken, TokenSource
from common.trust import read_authority, trust_also
from services.normalizer.listener import Listener
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sources.http import Connector, SourceMetrics
from services.normalizer.sources.kubeflow.addresses import RouteFacts, ServiceAddress, read_route, read_service_address
from services.normalizer.sources.kubeflow.discovery import DiscoverySettings, discover
from services.normalizer.sources.kubeflow.records import RegistryReading
from services.normalizer.sources.kubeflow.source import PollingOptions, RegistrySource
from services.normalizer.sources.refs import SourceRef, SourceState

T = TypeVar("T")
log = structlog.get_logger("registries")

MOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_OPERATOR_ROUTES = "app.kubernetes.io/managed-by=model-registry-operator"
_SERVERS = "component in (model-registry,server)"


def discovery_settings(settings: NormalizerSettings) -> DiscoverySettings:
    """Return what the environment says about registries."""
    return DiscoverySettings(
        routes=settings.model_registry_routes,
        registry_urls=settings.model_registry_urls,
        catalog_urls=settings.model_catalog_url,
        insecure=settings.model_registry_insecure,
        trusted_namespaces=(*settings.model_registry_namespaces, *filter(None, [settings.namespace])),
    )


def create_connector(
    settings: NormalizerSettings,
    *,
    token: TokenSource | None,
    metrics: Metrics,
    environ: Mapping[str, str] = os.environ,
) -> Connector:
    """Return what opens connections to registries; `token` is the service account's, KFMR_TOKEN goes before it.

    Trusted are the system's authorities, the cluster's (`ca.crt` and `service-ca.crt`, from the environment or
    mounted) and those in MODEL_REGISTRY_CA_FILE.

    Raises:
        TrustError: one of these holds no certificate.
    """
    own = settings.model_registry_token
    authorities = [(f"the variable {name}", environ.get(name, "")) for name in ("ca.crt", "service-ca.crt")]
    authorities += [
        read_authority("the mounted", MOUNT / name) for name in ("ca.crt", "service-ca.crt") if (MOUNT / name).exists()
    ]
    if settings.model_registry_ca_file:
        authorities.append(read_authority("MODEL_REGISTRY_CA_FILE", Path(settings.model_registry_ca_file)))
    return Connector(
        token=StaticToken(own.get_secret_value()) if own else token,
        ssl=trust_also(authorities),
        metrics=SourceMetrics(metrics),
    )


class Registries:
    """Keeps discovery and polling going and tells the listener what they bring (the pollers' SourceHandler)."""

    def __init__(self, *, listener: Listener, connector: Connector, settings: NormalizerSettings) -> None:
        self._listener = listener
        listener.ask_for_unknown_versions(self.look_up)
        self._settings = discovery_settings(settings)
        self._gone_grace = settings.patience.source_gone
        self._source = RegistrySource(
            connector=connector,
            handler=self,
            options=PollingOptions(interval=settings.polling_interval, card_refresh=settings.model_card_refresh),
            expected=listener.known_versions,
        )
        self._routes: _Followed[RouteFacts] | None = None
        self._services: _Followed[ServiceAddress] | None = None
        self._told: frozenset[Problem] = frozenset()
        self._found: frozenset[str] = frozenset()

    def follow_cluster(self, client: KubeClient, metrics: KubeMetrics) -> list[Callable[[], Any]]:
        """Look for registries in the cluster too; return what must run for that."""
        self._routes = _Followed(self._look)
        self._services = _Followed(self._look)
        selector = "" if self._settings.routes else _OPERATOR_ROUTES

        def reflector(resource: Resource, transform: Callable[[Any], T], handler: _Followed[T], selector: str) -> Any:
            return Reflector(
                client=client,
                resource=resource,
                namespace=None,
                transform=transform,
                handler=handler,
                label_selector=selector,
                metrics=metrics,
                name=f"registry-{resource.plural}",
            )

        return [
            reflector(ROUTES, read_route, self._routes, selector).run,
            reflector(SERVICES, read_service_address, self._services, _SERVERS).run,
        ]

    async def run(self) -> None:
        """Poll what there is until cancelled, from when it is known what there was in an earlier run."""
        self._look()
        await self._listener.begun()
        await self._source.run()

    def look_up(self, labels: RegistryLabels) -> None:
        """Read a version that an isvc names and no poll has seen yet."""
        for registry in self._found:
            self._source.look_up(registry, labels.model, labels.version)

    def _look(self) -> None:
        """Find registries and catalogs among what is known now."""
        followed = [each for each in (self._routes, self._services) if each is not None]
        found = discover(
            self._routes.objects.values() if self._routes else (),
            self._services.objects.values() if self._services else (),
            self._settings,
        )
        faults = sorted({f"{each.state.kind}: {each.state.remedy}" for each in followed if not each.listed})
        complete = not faults
        if complete:
            self._tell_problems(found.problems)
        # Until everything was looked at, what was not found may still be there.
        missing = frozenset() if complete else self._found - {ref.id for ref in found.refs}
        if missing:
            self._listener.discovering(complete=False, reason=" ".join(faults))
            return
        self._found = frozenset(ref.id for ref in found.refs if ref.kind == "registry")
        for registry in self._found:
            self._listener.registry_declared(registry)
        self._listener.discovering(complete=complete, reason=" ".join(faults))
        self._source.update(found.refs)

    def _tell_problems(self, problems: tuple[Problem, ...]) -> None:
        for problem in sorted(set(problems) - self._told):
            log.warning(problem.message, object=problem.object, remedy=problem.remedy)
        self._told = frozenset(problems)

    # --- what the pollers tell

    def on_reading(self, ref: SourceRef, reading: RegistryReading) -> None:
        """A registry was read."""
        self._listener.registry_read(ref.registry, reading)

    def on_state(self, ref: SourceRef, state: SourceState) -> None:
        """A registry or catalog fares otherwise than before."""
        fault = state.fault
        has_address = fault is None or fault.kind != "no-address"
        reason = f"{fault.kind}: {fault.remedy}" if fault else ""
        # Without a catalog the models are there all the same, with the cards known so far; so it is told, no more.
        needed = ref.kind == "registry" and has_address
        self._listener.remote_state(f"{ref.kind}:{ref.id}", ok=state.ok or not needed, reason=reason)
        if fault and ref.kind == "registry":
            self._listener.registry_failed(ref.id, has_address=has_address)

    def on_gone(self, ref: SourceRef) -> None:
        """A registry or catalog exists no longer."""
        what_follows = "its cards stay"
        if ref.kind == "registry":
            what_follows = f"its models leave in {self._gone_grace:g} s (SOURCE_GONE_GRACE)"
        log.warning(f"{ref.label} is gone: {ref.origin} names it no more", remedy=f"none if so meant: {what_follows}")
        self._listener.remote_gone(f"{ref.kind}:{ref.id}")
        if ref.kind == "registry":
            self._listener.registry_gone(ref.id)


class _Followed(Generic[T]):
    """The handler of one kind of object that registries are found by."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._synced = False
        self.objects: dict[Key, T] = {}
        self.state = State(ok=False, reason="not listed yet", kind="starting")

    @property
    def listed(self) -> bool:
        """Whether all that there are have been seen; a cluster without such objects has none."""
        return self._synced or self.state.kind == "absent"

    def on_change(self, key: Key, old: T | None, new: T | None, explicit: bool) -> None:
        if new is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = new
        if self._synced:
            self._changed()

    def on_invalid(self, key: Key, error: Exception) -> None:
        log.warning("passed over", object="/".join(key), error=str(error))

    def on_synced(self) -> None:
        self._synced = True
        self._changed()

    def on_state(self, state: State) -> None:
        self.state = state
        self._changed()
