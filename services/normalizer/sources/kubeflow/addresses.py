"""What discovery needs to know of Routes and Services.

Sources: OpenShift Route API (route.openshift.io/v1) and Kubernetes Service API; both are read tolerantly, for whatever
is missing or odd there belongs to somebody else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from services.normalizer.normalize import values


class Port(NamedTuple):
    """One port of a Service."""

    name: str
    number: int
    protocol: str
    """Its `appProtocol`, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFacts:
    """An OpenShift Route; `host` is empty until a router has admitted it."""

    namespace: str
    name: str
    host: str = ""
    service: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAddress:
    """A Service, as far as it may be a registry's or a catalog's."""

    namespace: str
    name: str
    ports: tuple[Port, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def read_route(obj: Mapping[str, Any]) -> RouteFacts:
    """Return what a Route object says."""
    return RouteFacts(
        namespace=values.line(values.at(obj, "metadata", "namespace")),
        name=values.line(values.at(obj, "metadata", "name")),
        host=_admitted_host(obj),
        service=values.line(values.at(obj, "spec", "to", "name")),
        labels=_labels(obj),
    )


def read_service_address(obj: Mapping[str, Any]) -> ServiceAddress:
    """Return what a Service object says."""
    return ServiceAddress(
        namespace=values.line(values.at(obj, "metadata", "namespace")),
        name=values.line(values.at(obj, "metadata", "name")),
        ports=tuple(
            Port(
                name=values.line(values.at(port, "name")),
                number=number,
                protocol=values.line(values.at(port, "appProtocol")).lower(),
            )
            for port in values.items(values.at(obj, "spec", "ports"))
            if isinstance(number := values.at(port, "port"), int)
        ),
        labels=_labels(obj),
    )


def _admitted_host(obj: Mapping[str, Any]) -> str:
    for ingress in values.items(values.at(obj, "status", "ingress")):
        refused = any(
            values.at(condition, "type") == "Admitted" and values.at(condition, "status") == "False"
            for condition in values.items(values.at(ingress, "conditions"))
        )
        if not refused and (host := values.line(values.at(ingress, "host"))):
            return host
    return ""


def _labels(obj: Mapping[str, Any]) -> dict[str, str]:
    labels = values.mapping(values.at(obj, "metadata", "labels"))
    return {str(key): value for key, value in labels.items() if isinstance(value, str)}
