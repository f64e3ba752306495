"""The model registries of a cluster: found by settings and objects of the cluster, and followed as sources."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import structlog

from common.faults import Fault
from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.problems import Problem
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sink import Intake
from services.normalizer.source import Sink
from services.normalizer.sourcebook import FIRST_LOOK, SearchState
from services.normalizer.sources.http import Connector
from services.normalizer.sources.kubeflow.discovery import (
    Discovery,
    DiscoverySettings,
    discover,
    ended,
    names_nothing,
    untrusted_remedy,
)
from services.normalizer.sources.kubeflow.search import TRANSIENT, ClusterSearch
from services.normalizer.sources.refs import OF_ENVIRONMENT, OF_KFMR_TOKEN, ServerKind, SourceRef
from services.normalizer.sources.registry_manager import PollingOptions, RegistryManager
from services.normalizer.sources.registry_source import RegistrySource

log = structlog.get_logger("registries")

POLLING_FLOOR = 5.0
"""The shortest interval between two polls, in seconds, whatever POLLING_INTERVAL says."""


_NAMING = frozenset(
    {"MODEL_REGISTRY_URLS", "MODEL_REGISTRY_GATEWAYS", "MODEL_REGISTRY_NAMESPACES", "MLFLOW_URLS", "MODEL_CATALOG_URL"}
)
"""The variables that name registries and catalogs."""


def discovery_settings(settings: NormalizerSettings) -> DiscoverySettings:
    """Return the settings that discovery needs."""
    return DiscoverySettings(
        routes=settings.model_registry_routes,
        registry_urls=settings.model_registry_urls,
        catalog_urls=settings.model_catalog_url,
        mlflow_urls=settings.mlflow_urls,
        insecure=settings.model_registry_insecure,
        trusted_namespaces=(*settings.model_registry_namespaces, *filter(None, [settings.namespace])),
        names=OF_KFMR_TOKEN if settings.model_registry_token else OF_ENVIRONMENT,
    )


class Registries:
    """Finds registries and catalogs, and has them followed; implements `RegistryListener`."""

    def __init__(
        self,
        *,
        intake: Intake,
        connector: Connector,
        settings: NormalizerSettings,
        discovery: DiscoverySettings,
        namespaces: Sequence[str],
        polling_floor: float,
    ) -> None:
        """`namespaces` are those that are watched.

        `polling_floor`: a shorter interval is raised to so many seconds, and a condition says so.
        """
        self._intake = intake
        self._settings = discovery
        self._cluster = self._settings.cluster
        intake.lookups.serve_versions(self.look_up, cluster=self._cluster)
        self._watched = namespaces
        # What is unusable in these may be what names a registry that was read before.
        self._all_named = not any(each.variable in _NAMING for each in settings.unusable)
        self._gateways = settings.model_registry_gateways
        self._gone_grace = settings.patience.source_gone
        self._manager = RegistryManager(
            connector=connector,
            listener=self,
            options=PollingOptions(
                interval=self._interval(settings.polling_interval, polling_floor),
                card_refresh=settings.model_card_refresh,
            ),
            expected=intake.known_versions,
        )
        intake.lookups.serve_cards(self._manager.want_cards, cluster=self._cluster)
        self._search: ClusterSearch | None = None
        self._told: frozenset[Problem] = frozenset()
        self._refs: dict[tuple[ServerKind, str], SourceRef] = {}
        self._untrusted_names: frozenset[str] = frozenset()
        self._answering: set[tuple[ServerKind, str]] = set()
        self._ended: frozenset[str] = frozenset()

    def _interval(self, given: float, floor: float) -> float:
        if given >= floor:
            return given
        raised = f"{given:g} s is raised to {floor:g} s, so that registries are not flooded"
        remedy = "set POLLING_INTERVAL to a longer time, such as 2m"
        log.warning("polling_interval_raised", given=given, used=floor)
        self._intake.conditions.set_named("POLLING_INTERVAL", ok=True, reason=f"{raised}; {remedy}")
        return floor

    def follow_cluster(
        self, client: KubeClient, metrics: KubeMetrics, *, patience: float = TRANSIENT
    ) -> list[Callable[[], Any]]:
        """Look for registries in the cluster too; return what must run for that.

        With WATCH_NAMESPACES the account may be allowed no more than single namespaces: then those are looked at where
        registries are trusted. A refusal that lasts for `patience` (seconds) is not waited for any more.
        """
        self._search = ClusterSearch(
            client=client,
            metrics=metrics,
            namespaces=self._settings.namespaces if self._watched else None,
            by_name=bool(self._settings.routes),
            gateways=self._gateways,
            changed=self._look,
            patience=patience,
        )
        return self._search.tasks

    async def run(self) -> None:
        """Poll what there is until cancelled, from when it is known what there was in an earlier run."""
        self._look()
        await self._intake.loaded.wait()
        self._look()
        await self._manager.run()

    def look_up(self, labels: RegistryLabels) -> None:
        """Read a version that an isvc names, before the next poll."""
        for (kind, id_), ref in self._refs.items():
            if kind == "registry" and ref.api == "kubeflow":
                self._manager.look_up(id_, labels.model, labels.version)

    def _look(self) -> None:
        """Find registries and catalogs among the objects that are known now; never raises, whatever these contain."""
        try:
            self._find()
        except Exception as error:
            log.exception("discovery_failed")
            reason = f"internal: {type(error).__name__}, see the log"
            self._intake.report_search(self._cluster, "waiting", ok=False, reason=reason)

    def _find(self) -> None:
        search = self._search
        found = discover(search.routes if search else (), search.services if search else (), self._settings)
        searched_all, reason = (search.exhaustive, search.reason) if search else (True, "")
        waiting = search is not None and search.waiting
        if not waiting:
            self._tell_problems(found)
        gone_routes, gone_services = search.deleted if search else ([], [])
        self._ended = ended(gone_routes, gone_services, self._settings)
        # Until everything was looked at, what was not found may still be there; so may what MR_ROUTE fails to name,
        # unless it is a Route that was there and is deleted.
        misnamed = [entry for entry in found.unmatched if names_nothing(entry, gone_routes, self._settings)]
        named_all = self._all_named and not misnamed
        sure = searched_all and named_all
        now = {(ref.kind, ref.id): ref for ref in found.refs}
        new = [ref for key, ref in now.items() if key not in self._refs]
        # One that nothing names any more and that still answers at its address is not gone: a label was changed.
        kept = {key for key in self._refs if key in self._answering or not (sure or key[1] in self._ended)}
        self._refs = {key: ref for key, ref in self._refs.items() if key in kept} | now
        state: SearchState = "exhaustive" if sure else "waiting" if waiting else "refused" if named_all else "misnamed"
        self._intake.report_search(self._cluster, state, ok=search is None or search.sufficient, reason=reason)
        for ref in new:
            if ref.kind == "catalog":
                self._intake.conditions.set(ref.source, False, FIRST_LOOK, stale=True)
        self._manager.update(self._refs.values())
        self._report_untrusted(found.untrusted)

    def _tell_problems(self, found: Discovery) -> None:
        for problem in sorted(set(found.problems) - self._told):
            log.warning("problem_found", **problem.fields())
        self._told = frozenset(found.problems)
        if self._settings.routes:
            reason = " ".join(f"{each.object}: {each.message}; {each.remedy}." for each in found.unmatched.values())
            self._intake.conditions.set_named("MR_ROUTE", ok=not reason, reason=reason)

    def _report_untrusted(self, untrusted: Sequence[SourceRef]) -> None:
        """Say that registries outside trusted namespaces are not read; what an earlier run has of them stays."""
        registries = {ref.source: ref for ref in untrusted}
        for name, ref in registries.items():
            reason, remedy = f"{ref.origin} is outside the trusted namespaces", untrusted_remedy(ref)
            self._intake.report_untrusted(name, reason=reason, remedy=remedy)
            if ref.kind == "registry" and self._intake.known_versions(ref.id):
                self._intake.add_unread_registry(name, reason=f"untrusted: {reason}; {remedy}")
        for name in self._untrusted_names - registries.keys():
            self._intake.remove_remote(name)
        self._untrusted_names = frozenset(registries)

    # --- the RegistryListener

    def open(self, source: RegistrySource) -> Sink:
        """Return the sink of a new registry."""
        return self._intake.open(source)

    def on_cards(self, cards: Mapping[str, str | None]) -> None:
        """Model cards are new or changed."""
        self._intake.put_cards(cards, cluster=self._cluster)

    def on_cards_forgotten(self, keys: Collection[str]) -> None:
        """Model cards are no longer used."""
        self._intake.forget_cards(keys, cluster=self._cluster)

    def on_fault(self, ref: SourceRef, fault: Fault | None) -> None:
        """A registry or catalog cannot be read, or can again."""
        if ref.kind == "catalog":
            # Without an address there is nothing to wait for: that is reported, no more.
            ok = fault is None or fault.kind == "no-address"
            self._intake.conditions.set(ref.source, ok, str(fault or ""), stale=fault is not None)
        if fault is None:
            self._answering.add((ref.kind, ref.id))
        elif (ref.kind, ref.id) in self._answering:
            self._answering.discard((ref.kind, ref.id))
            self._look()

    def on_gone(self, ref: SourceRef) -> None:
        """A registry or catalog exists no longer."""
        self._answering.discard((ref.kind, ref.id))
        what_follows = "its cards stay"
        if ref.kind == "registry":
            what_follows = f"its models leave in {self._gone_grace:g} s (SOURCE_GONE_GRACE)"
        log.warning("source_gone", source=ref.label, named_by=ref.origin, consequence=what_follows)
        if ref.kind == "registry":
            self._intake.close(ref.source, proven=ref.id in self._ended)
        self._intake.remove_remote(ref.source)
