"""What discovery needs to know of Routes, Services and HTTPRoutes.

Sources: OpenShift Route API (route.openshift.io/v1), Kubernetes Service API, Gateway API
(gateway.networking.k8s.io/v1). All are read tolerantly, for whatever is missing or odd there belongs to someone else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from services.normalizer.normalize import values
from services.normalizer.normalize.addresses import speaks_tls
from services.normalizer.normalize.deployment import Port, read_service

ServerKind = Literal["registry", "catalog"]

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_EXTERNAL = "/external-address-rest"
"""The end of the annotation by which a Service names its address outside: `routing.opendatahub.io/…` of the operator,
`routing.kubeflow.org/…` upstream."""
_HTTP_PORTS = (80, 443, 8080, 8443)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFacts:
    """An OpenShift Route, or an HTTPRoute of the Gateway API.

    `host` is empty until a router has admitted it, and when it is no host name: then `problem` says so. `path` is the
    prefix below which the server is. `service` is the name of its Service in `service_namespace`, `gateway` are
    namespace and name of its Gateway.
    """

    namespace: str
    name: str
    kind: Literal["Route", "HTTPRoute"] = "Route"
    host: str = ""
    path: str = ""
    tls: bool = True
    service: str = ""
    service_namespace: str = ""
    gateway: tuple[str, str] = ("", "")
    labels: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def url(self) -> str:
        """The address, empty without a host."""
        return f"{'https' if self.tls else 'http'}://{self.host}{self.path}" if self.host else ""

    def behind(self, gateway: "GatewayFacts | None") -> "RouteFacts":
        """Return it with the host of its Gateway, if it has none of its own."""
        if self.host or gateway is None:
            return self
        return replace(self, host=gateway.host, tls=gateway.tls)

    @property
    def origin(self) -> str:
        """What messages call it."""
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFacts:
    """A Gateway: the host name of its first listener that has one, those with TLS first."""

    host: str = ""
    tls: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAddress:
    """A Service, as far as it may be a registry's or a catalog's; `external` is the address that it names outside."""

    namespace: str
    name: str
    ports: tuple[Port, ...] = ()
    external: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def internal(self) -> str:
        """The address inside the cluster, https where the Service offers it; empty when no port speaks HTTP."""
        usable = sorted(filter(_speaks_http, self.ports), key=lambda port: not speaks_tls(port))
        if not usable:
            return ""
        scheme = "https" if speaks_tls(usable[0]) else "http"
        return f"{scheme}://{self.name}.{self.namespace}.svc:{usable[0].number}"


def read_route(obj: Mapping[str, Any]) -> RouteFacts:
    """Return what a Route object says."""
    host, problem = _checked(_admitted_host(obj))
    namespace = values.line_at(obj, "metadata", "namespace")
    return RouteFacts(
        namespace=namespace,
        name=values.line_at(obj, "metadata", "name"),
        host=host,
        tls=bool(values.mapping(values.at(obj, "spec", "tls"))),
        service=values.line_at(obj, "spec", "to", "name"),
        service_namespace=namespace,
        labels=_labels(obj),
        problem=problem,
    )


def read_http_route(obj: Mapping[str, Any]) -> RouteFacts:
    """Return what an HTTPRoute object says: its first host name, and of its first rule the path and the Service.

    The operator of RHOAI 3 writes no host names into its HTTPRoutes: they are those of the Gateway.
    """
    host, problem = _checked(values.line(_first(obj, "spec", "hostnames")))
    rule, parent = _first(obj, "spec", "rules"), _first(obj, "spec", "parentRefs")
    backend = _first(rule, "backendRefs")
    namespace = values.line_at(obj, "metadata", "namespace")
    path = values.line_at(_first(rule, "matches"), "path", "value")
    return RouteFacts(
        kind="HTTPRoute",
        namespace=namespace,
        name=values.line_at(obj, "metadata", "name"),
        host=host,
        path=path.rstrip("/") if re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", path) else "",
        service=values.line_at(backend, "name"),
        service_namespace=values.line_at(backend, "namespace") or namespace,
        gateway=(values.line_at(parent, "namespace") or namespace, values.line_at(parent, "name")),
        labels=_labels(obj),
        problem=problem,
    )


def read_gateway(obj: Mapping[str, Any]) -> GatewayFacts:
    """Return what a Gateway object says."""
    listeners = values.items_at(obj, "spec", "listeners")
    found = [
        GatewayFacts(host=host, tls=values.at(listener, "protocol") == "HTTPS")
        for listener in listeners
        if _is_host(host := values.line_at(listener, "hostname"))
    ]
    return min(found, key=lambda each: not each.tls, default=GatewayFacts())


def read_service_address(obj: Mapping[str, Any]) -> ServiceAddress:
    """Return what a Service object says."""
    return ServiceAddress(
        namespace=values.line_at(obj, "metadata", "namespace"),
        name=values.line_at(obj, "metadata", "name"),
        ports=tuple(port for port in read_service(obj).ports if port.number),
        external=_external(obj),
        labels=_labels(obj),
    )


def kind_of(labels: Mapping[str, str], name: str = "") -> ServerKind | None:
    """Return which kind of server an object with these labels leads to, None when they do not say.

    The operator's label `component` decides: `model-registry`, or `model-catalog`. Upstream's catalog has
    `app.kubernetes.io/part-of: model-catalog` with `…/component: server`. `name` is for a Route that has neither.
    """
    component = labels.get("component")
    if component in ("model-registry", "model-catalog"):
        return "catalog" if component == "model-catalog" else "registry"
    if labels.get("app.kubernetes.io/part-of") == "model-catalog":
        return "catalog" if labels.get("app.kubernetes.io/component") == "server" else None
    if not name:
        return None
    plain = name.removesuffix("-https").removesuffix("-http")
    return "catalog" if plain == "model-catalog" or plain.endswith("-catalog") else "registry"


def _speaks_http(port: Port) -> bool:
    """Return whether HTTP or HTTPS is spoken at a port, as far as name, protocol and number tell."""
    named = port.name.startswith("http") or "http" in port.protocol
    return named or (not port.name and port.number in _HTTP_PORTS)


def _is_host(text: str) -> bool:
    """Return whether a text is a host name or an IPv4 address, fit to stand in a URL as it is."""
    return _HOST.fullmatch(text) is not None


def _first(value: object, *path: str) -> Any:
    """Return the first item of the JSON array at `path`, None without one."""
    return next(iter(values.items_at(value, *path)), None)


def _checked(host: str) -> tuple[str, str]:
    if not host or _is_host(host):
        return host, ""
    return "", f"its host {values.shown(host)} is no host name"


def _external(obj: Mapping[str, Any]) -> str:
    """Return the URL of the address that a Service's annotation names, as `host`, `host:port` or with a scheme."""
    annotations = values.mapping(values.at(obj, "metadata", "annotations"))
    found = sorted(str(key) for key in annotations if str(key).endswith(_EXTERNAL))
    address = values.line(annotations[found[0]]).removeprefix("https://").rstrip("/") if found else ""
    host, _, port = address.partition(":")
    if not _is_host(host) or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        return ""
    return f"https://{host}" if port in ("", "443") else f"https://{host}:{port}"


def _admitted_host(obj: Mapping[str, Any]) -> str:
    for ingress in values.items_at(obj, "status", "ingress"):
        refused = any(
            values.at(condition, "type") == "Admitted" and values.at(condition, "status") == "False"
            for condition in values.items_at(ingress, "conditions")
        )
        if not refused and (host := values.line_at(ingress, "host")):
            return host
    return ""


def _labels(obj: Mapping[str, Any]) -> dict[str, str]:
    labels = values.mapping(values.at(obj, "metadata", "labels"))
    return {str(key): value for key, value in labels.items() if isinstance(value, str)}
