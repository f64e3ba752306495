"""Finds the model registries and model catalogs.

A pure function of Routes, Services, HTTPRoutes and settings, called again when one of them changes, so that no restart
is needed when a server is created, moved or deleted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from common.problems import Problem
from services.normalizer.facts import LOCAL, in_cluster
from services.normalizer.sources.kubeflow.addresses import RouteFacts, ServiceAddress, kind_of
from services.normalizer.sources.refs import (
    OF_ENVIRONMENT,
    SettingNames,
    SourceRef,
    mlflow_server,
    named_server,
)

_MANAGED_BY = ("app.kubernetes.io/managed-by", "model-registry-operator")
_GATEWAY_WORD = "ingressgateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverySettings:
    """The settings about registries and catalogs.

    `routes` are entries of MR_ROUTE ("namespace:name" or "name"; they limit the registries that are taken from Routes
    and Services), the URLs those of MODEL_REGISTRY_URLS and MODEL_CATALOG_URL ("URL" or "name=URL") and of MLFLOW_URLS
    ("name=URL"), `insecure` the ids, names or hosts whose certificate is not checked (MODEL_REGISTRY_INSECURE).
    Everybody who may create a Service or a Route can label it as a registry's: only what is found in
    `trusted_namespaces`, or named as "namespace:name" or by its URL, is read and given the token. `cluster` is
    the one that they are in. `inside`: addresses that its Services have inside it lead there from here; anywhere else
    the same address leads to someone else. `names` are what remedies call these settings.
    """

    routes: tuple[str, ...] = ()
    registry_urls: tuple[str, ...] = ()
    mlflow_urls: tuple[str, ...] = ()
    catalog_urls: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    trusted_namespaces: tuple[str, ...] = ()
    cluster: str = LOCAL
    inside: bool = True
    names: SettingNames = OF_ENVIRONMENT

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces in which registries are read."""
        named = {entry.partition(":")[0] for entry in self.routes if ":" in entry}
        return tuple(sorted({*self.trusted_namespaces, *named}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The servers found, explicit ones first; those outside trusted namespaces, which are not read; what is wrong.

    `unmatched` are the entries of MR_ROUTE that match no Route, each with its problem.
    """

    refs: tuple[SourceRef, ...]
    untrusted: tuple[SourceRef, ...] = ()
    problems: tuple[Problem, ...] = ()
    unmatched: Mapping[str, Problem] = field(default_factory=dict)


class _RankedRef(NamedTuple):
    """One way to reach a server; a smaller `rank` is better."""

    ref: SourceRef
    rank: int

    @property
    def order(self) -> tuple[object, ...]:
        """The sort key of ways, best first: by server, with an address, encrypted, then by rank."""
        return self.ref.id, not self.ref.url, not self.ref.url.startswith("https"), self.rank, self.ref.origin


def discover(
    routes: Iterable[RouteFacts], services: Iterable[ServiceAddress], settings: DiscoverySettings
) -> Discovery:
    """Return every server once, even if several ways lead to it.

    An explicit URL wins over a Route, a Route before its Service: outside callers may be kept from the Service by a
    network policy, and the Route is what the operator publishes. Where no Route is, the Service's own address outside
    or an HTTPRoute serve, then the Service itself. A Route that no router has admitted yet leaves the other ways;
    without any the server has no address, which is not the same as being gone.
    """
    explicit = [
        *(named_server(entry, "registry", settings.names.urls) for entry in settings.registry_urls),
        *(named_server(entry, "catalog", "MODEL_CATALOG_URL") for entry in settings.catalog_urls),
        *(mlflow_server(entry) for entry in settings.mlflow_urls),
    ]
    chosen = sorted(
        (each for each in routes if _is_wanted(each, settings)), key=lambda each: (each.namespace, each.name)
    )
    ways = [_RankedRef(_from_route(each, settings), 0 if each.kind == "Route" else 2) for each in chosen]
    reached = {way.ref.id: way.ref for way in sorted(ways, key=lambda way: way.ref.trusted)}
    ways += [way for each in services for way in _from_service(each, settings, reached)]
    found = [way.ref for way in sorted(ways, key=lambda way: way.order)]
    trusted = _once([*explicit, *(ref for ref in found if ref.trusted)])
    ids = {ref.id for ref in trusted}
    untrusted = [_in_cluster(ref, settings) for ref in _once(found) if not ref.trusted and ref.id not in ids]
    unmatched = {entry: _unmatched(entry) for entry in settings.routes if names_nothing(entry, chosen, settings)}
    return Discovery(
        refs=tuple(
            _in_cluster(replace(ref, verify=not ref.is_named_in(settings.insecure)), settings) for ref in trusted
        ),
        untrusted=tuple(untrusted),
        problems=(
            *_repeated(explicit),
            *(_invalid(each) for each in chosen if each.problem),
            *unmatched.values(),
            *map(_untrusted, untrusted),
        ),
        unmatched=unmatched,
    )


def ended(
    routes: Iterable[RouteFacts], services: Iterable[ServiceAddress], settings: DiscoverySettings
) -> frozenset[str]:
    """Return the ids of the servers whose Routes or Services were deleted: these are gone, whatever else names them.

    A Route with a Service of its own was only a way to that one.
    """
    ids = {f"{each.namespace}/{each.name}" for each in services}
    ids |= {f"{each.namespace}/{each.name}" for each in routes if not _has_own_service(each)}
    return frozenset(in_cluster(each, settings.cluster) for each in ids)


def names_nothing(entry: str, routes: Iterable[RouteFacts], settings: DiscoverySettings) -> bool:
    """Return whether an entry of MR_ROUTE matches none of these Routes."""
    return not any(_names(entry, each, settings) for each in routes)


def _in_cluster(ref: SourceRef, settings: DiscoverySettings) -> SourceRef:
    return replace(ref, id=in_cluster(ref.id, settings.cluster), settings=settings.names)


def _from_route(route: RouteFacts, settings: DiscoverySettings) -> SourceRef:
    is_own = _has_own_service(route)
    name = route.service if is_own else route.name
    namespace = route.service_namespace if is_own else route.namespace
    explicit = any(":" in entry and _names(entry, route, settings) for entry in settings.routes)
    return SourceRef(
        id=f"{namespace}/{name}",
        kind=kind_of(route.labels, route.name) or "registry",
        url=route.url,
        origin=route.origin,
        name=name,
        namespace=namespace,
        trusted=explicit or {route.namespace, namespace} <= set(settings.trusted_namespaces),
    )


def _has_own_service(route: RouteFacts) -> bool:
    """Return whether a Route leads to the Service of one registry, not to a gateway that serves many."""
    return bool(route.service) and _GATEWAY_WORD not in route.service


def _from_service(
    service: ServiceAddress, settings: DiscoverySettings, reached: Mapping[str, SourceRef]
) -> Iterator[_RankedRef]:
    """Yield the ways through a Service; one without the labels of a registry counts only if a Route leads to it."""
    identity = f"{service.namespace}/{service.name}"
    route = reached.get(identity)
    kind = route.kind if route else kind_of(service.labels)
    if kind is None or (route is None and kind == "registry" and settings.routes):
        return
    trusted = service.namespace in settings.trusted_namespaces or (route is not None and route.trusted)
    internal = service.internal if settings.inside else ""
    for rank, url in ((1, service.external), (3, internal)):
        if url or (rank == 3 and not settings.inside):  # one that cannot be reached from here exists all the same
            ref = SourceRef(
                id=identity,
                kind=kind,
                url=url,
                origin=f"Service {identity}",
                name=service.name,
                namespace=service.namespace,
                trusted=trusted,
            )
            yield _RankedRef(ref, rank)


def _is_wanted(route: RouteFacts, settings: DiscoverySettings) -> bool:
    if any(_names(entry, route, settings) for entry in settings.routes):
        return True
    managed = route.labels.get(_MANAGED_BY[0]) == _MANAGED_BY[1] or kind_of(route.labels) is not None
    # MR_ROUTE picks registries; the catalog with the cards is found in their namespaces.
    return managed and (not settings.routes or kind_of(route.labels, route.name) == "catalog")


def _names(entry: str, route: RouteFacts, settings: DiscoverySettings) -> bool:
    """Return whether an entry of MR_ROUTE matches a Route; without a namespace, only one in a trusted namespace."""
    namespace, _, name = entry.rpartition(":")
    where = (namespace,) if namespace else settings.trusted_namespaces
    return route.kind == "Route" and name == route.name and route.namespace in where


def _unmatched(entry: str) -> Problem:
    where = "" if ":" in entry else " in a trusted namespace (MODEL_REGISTRY_NAMESPACES)"
    return Problem(
        id="route_missing",
        severity="warning",
        object=f"MR_ROUTE {entry}",
        message=f"there is no such Route{where}",
        remedy="write namespace:name of an existing Route, or leave MR_ROUTE out to find registries by label",
    )


def _untrusted(ref: SourceRef) -> Problem:
    return Problem(
        id="registry_untrusted",
        severity="warning",
        object=ref.origin,
        message=f"it is marked as a model {ref.kind}, outside the trusted namespaces: it is not read",
        remedy=untrusted_remedy(ref),
    )


def untrusted_remedy(ref: SourceRef) -> str:
    """Return what to do about a server outside trusted namespaces."""
    namespace = ref.origin.rpartition(" ")[2].partition("/")[0]  # of the object that names it, not of its Service
    return f"if it is yours, add {namespace} to {ref.settings.namespaces}; if not, do nothing: it gets no token"


def _invalid(route: RouteFacts) -> Problem:
    return Problem(
        id="route_invalid",
        severity="warning",
        object=route.origin,
        message=route.problem,
        remedy="correct the Route's spec.host",
    )


def _repeated(explicit: Sequence[SourceRef]) -> Iterator[Problem]:
    counts = Counter((ref.origin, ref.id) for ref in explicit)
    for (origin, id_), count in counts.items():
        if count > 1:
            yield Problem(
                id="registry_named_twice",
                severity="warning",
                object=origin,
                message=f"{id_} is there {count} times: the first is taken",
                remedy="name each server once, and each by another name",
            )


def _once(refs: Iterable[SourceRef]) -> list[SourceRef]:
    """Drop every ref to a server that an earlier ref leads to: same id, same address, or same Service."""
    taken: set[tuple[str, object]] = set()
    kept = []
    for ref in refs:
        signs = _signs(ref)
        if not taken & signs:
            kept.append(ref)
        taken |= signs
    return kept


def _signs(ref: SourceRef) -> set[tuple[str, object]]:
    signs: set[tuple[str, object]] = {(ref.kind, ref.id)}
    if ref.name and ref.namespace:
        signs.add((ref.kind, f"{ref.namespace}/{ref.name}"))
    if ref.url:
        signs.add((f"{ref.kind} {ref.api}", ref.address))
    return signs
