"""Which model registries and model catalogs there are.

A pure function from Routes, Services and settings, asked again whenever one of them changes: a server that is created,
moved or deleted needs no restart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from common.problems import Problem
from services.normalizer.sources.kubeflow.addresses import Port, RouteFacts, ServiceAddress
from services.normalizer.sources.refs import RefKind, SourceRef

_MANAGED_BY = ("app.kubernetes.io/managed-by", "model-registry-operator")
_REGISTRY_LABEL = ("component", "model-registry")
_CATALOG_LABELS = (("app.kubernetes.io/part-of", "model-catalog"), ("component", "server"))
_CATALOG_WORD = "catalog"
_GATEWAY_WORD = "ingressgateway"
_HTTP_PORTS = (80, 443, 8080, 8443)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverySettings:
    """What the environment says about registries.

    `routes` are entries of MR_ROUTE ("namespace:name" or "name"; they limit the registries that are taken from Routes
    and Services), the URLs those of MODEL_REGISTRY_URLS and MODEL_CATALOG_URL or the command line, `insecure` the ids,
    names or hosts whose certificate is not checked (MODEL_REGISTRY_INSECURE). Everybody who may create a Service or a
    Route can label it as a registry's: the token goes only to what is found in `trusted_namespaces`, or named in
    `routes` or by its URL.
    """

    routes: tuple[str, ...] = ()
    registry_urls: tuple[str, ...] = ()
    catalog_urls: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    trusted_namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The servers found, explicit ones first, and what is wrong with the settings that name them."""

    refs: tuple[SourceRef, ...]
    problems: tuple[Problem, ...] = ()


def discover(
    routes: Iterable[RouteFacts], services: Iterable[ServiceAddress], settings: DiscoverySettings
) -> Discovery:
    """Return every server once, however many ways lead to it.

    An explicit URL wins over a Route, a Route over its Service: outside callers may be kept from the Service by a
    network policy, and the Route is what the operator publishes. A Route that no router has admitted yet leaves the
    way through its Service; without one the server has no address, which is not the same as being gone.
    """
    explicit = [
        *(_from_url(url, "registry", "MODEL_REGISTRY_URLS") for url in settings.registry_urls),
        *(_from_url(url, "catalog", "MODEL_CATALOG_URL") for url in settings.catalog_urls),
    ]
    by_name = {(each.namespace, each.name): each for each in services}
    chosen = sorted(
        (each for each in routes if _is_wanted(each, settings.routes)), key=lambda each: (each.namespace, each.name)
    )
    trusted = set(settings.trusted_namespaces)
    found = [
        replace(_from_route(each, by_name), trusted=each.namespace in trusted or _is_named(each, settings.routes))
        for each in chosen
    ]
    reached = {ref.id for ref in found}
    found += [
        replace(ref, trusted=ref.namespace in trusted)
        for each in by_name.values()
        if (ref := _from_service(each, settings.routes, reached)) is not None
    ]
    refs = _once([*explicit, *sorted(found, key=lambda ref: (ref.id, not ref.url, ref.origin))])
    return Discovery(
        refs=tuple(replace(ref, verify=not _is_insecure(ref, settings.insecure)) for ref in refs),
        problems=_unmatched(settings.routes, chosen),
    )


def _from_url(url: str, kind: RefKind, origin: str) -> SourceRef:
    parts = urlsplit(url)
    host = parts.hostname or ""
    path = parts.path.rstrip("/")
    name, namespace = _service_of(host) or ("", "")
    server = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    root = f"{parts.scheme.lower()}://{server}{port}{path}"
    return SourceRef(id=f"{server}{port}{path}", kind=kind, url=root, origin=origin, name=name, namespace=namespace)


def _from_route(route: RouteFacts, services: Mapping[tuple[str, str], ServiceAddress]) -> SourceRef:
    # A gateway's Service stands behind the Routes of many registries and says nothing about which one is meant.
    name = route.service if route.service and _GATEWAY_WORD not in route.service else route.name
    service = services.get((route.namespace, name))
    inside = _service_url(service) if service else ""
    return SourceRef(
        id=f"{route.namespace}/{name}",
        kind="catalog" if _CATALOG_WORD in route.name else "registry",
        url=f"https://{route.host}" if route.host else inside,
        origin=f"Route {route.namespace}/{route.name}",
        name=name,
        namespace=route.namespace,
    )


def _from_service(service: ServiceAddress, limit: Sequence[str], reached: set[str]) -> SourceRef | None:
    kind = _service_kind(service)
    url = _service_url(service)
    identity = f"{service.namespace}/{service.name}"
    if kind is None or not url or identity in reached or (kind == "registry" and limit):
        return None
    return SourceRef(
        id=identity,
        kind=kind,
        url=url,
        origin=f"Service {identity}",
        name=service.name,
        namespace=service.namespace,
    )


def _is_named(route: RouteFacts, limit: Sequence[str]) -> bool:
    return any(_names(entry, route) for entry in limit)


def _is_wanted(route: RouteFacts, limit: Sequence[str]) -> bool:
    managed = route.labels.get(_MANAGED_BY[0]) == _MANAGED_BY[1]
    # MR_ROUTE picks registries; the catalog with the cards is found beside them.
    return _is_named(route, limit) or (managed and (not limit or _CATALOG_WORD in route.name))


def _names(entry: str, route: RouteFacts) -> bool:
    namespace, _, name = entry.rpartition(":")
    return name == route.name and namespace in ("", route.namespace)


def _unmatched(limit: Sequence[str], chosen: Sequence[RouteFacts]) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            severity="warning",
            object=f"MR_ROUTE {entry}",
            message="no such Route",
            remedy="write namespace:name of an existing Route, or leave MR_ROUTE out to find registries by label",
        )
        for entry in limit
        if not any(_names(entry, route) for route in chosen)
    )


def _service_kind(service: ServiceAddress) -> RefKind | None:
    labels = service.labels.items()
    if all(label in labels for label in _CATALOG_LABELS):
        return "catalog"
    if _REGISTRY_LABEL in labels:
        return "catalog" if _CATALOG_WORD in service.name else "registry"
    return None


def _service_url(service: ServiceAddress) -> str:
    """Return the address inside the cluster, https where the Service offers it; empty when no port speaks HTTP."""
    usable = sorted(filter(_speaks_http, service.ports), key=lambda port: not _is_tls(port))
    if not usable:
        return ""
    scheme = "https" if _is_tls(usable[0]) else "http"
    return f"{scheme}://{service.name}.{service.namespace}.svc:{usable[0].number}"


def _speaks_http(port: Port) -> bool:
    return port.name.startswith("http") or "http" in port.protocol or (not port.name and port.number in _HTTP_PORTS)


def _is_tls(port: Port) -> bool:
    return port.name.startswith("https") or port.protocol.endswith("https") or port.number in (443, 8443)


def _service_of(host: str) -> tuple[str, str] | None:
    """Return name and namespace when `host` is a Service's name inside the cluster."""
    labels = host.split(".")
    return (labels[0], labels[1]) if len(labels) >= 3 and labels[2] == "svc" else None


def _once(refs: Iterable[SourceRef]) -> list[SourceRef]:
    """Drop every ref whose server an earlier one reaches: same id, same address, or same Service."""
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
    if ref.name:
        signs.add((ref.kind, f"{ref.namespace}/{ref.name}"))
    if ref.url:
        parts = urlsplit(ref.url)
        signs.add((ref.kind, (parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme), parts.path)))
    return signs


def _is_insecure(ref: SourceRef, insecure: Sequence[str]) -> bool:
    host = urlsplit(ref.url).hostname
    return any(entry and entry in (ref.id, ref.name, host) for entry in insecure)
