"""The facts of deployments (InferenceServices, LLMInferenceServices and others) and of the objects that belong to them.

Ten thousand of these stay in memory; the objects that they were read from do not.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from common.problems import Problem
from services.normalizer.facts import DeploymentKind
from services.normalizer.normalize import values
from services.normalizer.normalize.connection import Connection
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.readiness import Readiness
from services.normalizer.normalize.runtimes import Runtime, Served
from services.normalizer.normalize.stated import Stated
from services.normalizer.normalize.storage import StorageFacts

DEPLOYMENT_KINDS: tuple[DeploymentKind, ...] = ("InferenceService", "LLMInferenceService")
"""The kinds that are objects of a cluster."""

_LAST_PORT = 65535
_DEFAULT_NAMESPACE = "default"
_UNNAMED = "unnamed"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a deployment answers, according to its status: absolute URLs, or empty."""

    external: str = ""
    internal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The facts of one InferenceService, LLMInferenceService or other server.

    `stated` is what people say in labels and annotations. `names` are the names that clients may use for the model, the
    usual one first; without any, it is the deployment's own. `secured`: requests need a token unless `stated` says
    otherwise; None where its Service shows that. `may_scale_to_zero`: a request may have to start a pod. `operations`
    and `definition` (packed) are what its server said about its API. `created` is in milliseconds of the epoch.
    `generation` counts the changes of its specification. `planned`: it is in a manifest without a status, and is shown
    without a server.
    """

    kind: DeploymentKind = "InferenceService"
    namespace: str
    name: str
    uid: str
    created: int
    generation: int = 0
    stated: Stated
    names: tuple[str, ...] = ()
    served: Served
    storage: StorageFacts
    addresses: Addresses
    has_transformer: bool = False
    secured: bool | None = None
    readiness: Readiness
    may_scale_to_zero: bool = False
    operations: tuple[str, ...] = ()
    definition: str = ""
    planned: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def subject(self) -> str:
        """What problems call it."""
        return subject(self.namespace, self.name, kind=self.kind)

    @property
    def url(self) -> str:
        """Where it answers according to its status, preferably outside the cluster; empty where that is not known."""
        return self.addresses.external or self.addresses.internal

    @property
    def registry(self) -> RegistryLabels | None:
        """The labels that name the registered version that it serves."""
        return self.stated.registry


class OwnerReference(NamedTuple):
    """An owner reference to a deployment; `uid` may be empty."""

    kind: DeploymentKind
    name: str
    uid: str


class Port(NamedTuple):
    """A port of a Service: its name and application protocol in lower case, its number, and the number in the pod.

    `target` is 0 where the port of the pod is named or not given.
    """

    name: str
    protocol: str
    number: int
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """A Service: the deployments that own it, its component and application, and its ports.

    `headless`: its name resolves to the pods. `external`: it is an alias of another name (ExternalName).
    """

    namespace: str
    name: str
    owners: tuple[OwnerReference, ...] = ()
    ports: tuple[Port, ...] = ()
    headless: bool = False
    external: bool = False
    component: str = ""
    application: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountFacts:
    """A ServiceAccount and the deployments that own it."""

    namespace: str
    name: str
    owners: tuple[OwnerReference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What belongs to one deployment, as far as it is known.

    `services` and `service_accounts` may be all of its namespace: only those that the deployment owns count.
    """

    services: Sequence[ServiceFacts] = ()
    service_accounts: Sequence[ServiceAccountFacts] = ()
    runtime: Runtime | None = None
    connection: Connection | None = None


NOTHING = Belongings()


ObjectFact = Deployment | ServiceFacts | ServiceAccountFacts | Runtime | Connection
"""What can be reported about an object of a cluster."""


def subject(namespace: str, name: str, *, kind: DeploymentKind = "InferenceService") -> str:
    """Return what problems call a deployment."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def read_names(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return an object's namespace and name; neither is ever empty."""
    namespace = values.line(metadata.get("namespace")) or _DEFAULT_NAMESPACE
    return sys.intern(namespace), values.line(metadata.get("name")) or _UNNAMED


def read_service(obj: Mapping[str, Any]) -> ServiceFacts:
    """Return the facts of a Service (v1)."""
    metadata, spec = values.mapping(obj.get("metadata")), values.mapping(obj.get("spec"))
    namespace, name = read_names(metadata)
    labels = values.mapping(metadata.get("labels"))
    return ServiceFacts(
        namespace=namespace,
        name=name,
        owners=_owners(metadata),
        ports=tuple(map(_port, values.items(spec.get("ports")))),
        headless=values.line(spec.get("clusterIP")) == "None",
        external=values.line(spec.get("type")) == "ExternalName",
        component=values.line(labels.get("app.kubernetes.io/component")) or values.line(labels.get("component")),
        application=values.line(labels.get("app.kubernetes.io/name")),
    )


def read_service_account(obj: Mapping[str, Any]) -> ServiceAccountFacts:
    """Return the facts of a ServiceAccount (v1)."""
    metadata = values.mapping(obj.get("metadata"))
    namespace, name = read_names(metadata)
    return ServiceAccountFacts(namespace=namespace, name=name, owners=_owners(metadata))


def owns(deployment: Deployment, owners: Sequence[OwnerReference]) -> bool:
    """Return whether `deployment` is among the owners; the same name with another uid means an earlier object."""
    return any(
        o.kind == deployment.kind
        and o.name == deployment.name
        and (o.uid == deployment.uid or not o.uid or not deployment.uid)
        for o in owners
    )


def _owners(metadata: Mapping[str, Any]) -> tuple[OwnerReference, ...]:
    return tuple(
        OwnerReference(
            cast("DeploymentKind", owner["kind"]), values.line_at(owner, "name"), values.line(owner.get("uid"))
        )
        for owner in values.items(metadata.get("ownerReferences"))
        if values.at(owner, "kind") in DEPLOYMENT_KINDS
    )


def _port(port: object) -> Port:
    return Port(
        sys.intern(values.line_at(port, "name").lower()),
        sys.intern(values.line_at(port, "appProtocol").lower()),
        _port_number(values.at(port, "port")),
        _port_number(values.at(port, "targetPort")),
    )


def _port_number(value: object) -> int:
    """Return a port number, 0 where there is none; a targetPort may also be the name of a port of the pod."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LAST_PORT else 0
