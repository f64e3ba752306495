"""What the connector knows of a deployment: an InferenceService or an LLMInferenceService, and what belongs to it.

Ten thousand of these stay in memory, the objects they were read from do not.
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
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry
from services.normalizer.normalize.runtimes import Runtime, Served
from services.normalizer.normalize.stated import Stated
from services.normalizer.normalize.storage import Storage

DEPLOYMENT_KINDS: tuple[DeploymentKind, ...] = ("InferenceService", "LLMInferenceService")
"""Those that are objects of a cluster."""

_LAST_PORT = 65535
_DEFAULT_NAMESPACE = "default"
_UNNAMED = "unnamed"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a deployment's status says that it answers: absolute URLs or empty."""

    external: str = ""
    internal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The facts of one InferenceService or LLMInferenceService.

    `stated` is what people say in labels and annotations. `names` are those that a client may write as the model's, the
    usual one first; without any its own name is. `secured`: it asks for a token unless `stated` says otherwise,
    None where its Service tells. `may_sleep`: a request may have to start it. `operations` are those that its server
    says it has, `definition` is its own, packed. `created` is in milliseconds, `generation`
    counts the changes of its specification: one that is deployed again may mean something else by the same words.
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
    storage: Storage
    addresses: Addresses
    has_transformer: bool = False
    secured: bool | None = None
    readiness: Readiness
    may_sleep: bool = False
    operations: tuple[str, ...] = ()
    definition: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def subject(self) -> str:
        """Its name as problems bear it."""
        return subject(self.namespace, self.name, kind=self.kind)

    @property
    def url(self) -> str:
        """Where its status says that it answers, outside the cluster if it does; empty where it says nothing."""
        return self.addresses.external or self.addresses.internal

    @property
    def registry(self) -> RegistryLabels | None:
        """The labels that name the registered version it serves."""
        return self.stated.registry


class Owner(NamedTuple):
    """An owner reference to a deployment; `uid` may be empty."""

    kind: DeploymentKind
    name: str
    uid: str


class Port(NamedTuple):
    """A port of a Service: its name and application protocol in lower case, its number, and the one in the pod.

    `target` is 0 where the port of the pod is named or not given.
    """

    name: str
    protocol: str
    number: int
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """A Service: which deployments own it, of which component and application it is, and the ports it listens on.

    `headless`: its name leads to the pods themselves. `external`: it stands for a name elsewhere (ExternalName).
    """

    namespace: str
    name: str
    owners: tuple[Owner, ...] = ()
    ports: tuple[Port, ...] = ()
    headless: bool = False
    external: bool = False
    component: str = ""
    application: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountFacts:
    """A ServiceAccount: which deployments own it."""

    namespace: str
    name: str
    owners: tuple[Owner, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """A deployment that is only written down, in a manifest without a status: it is shown, without a server."""

    deployment: Deployment


Fact = Deployment | Planned | ServiceFacts | ServiceAccountFacts | Runtime | Connection | Registry | RegisteredVersion
"""What a source can say of an object that is there."""


def subject(namespace: str, name: str, *, kind: DeploymentKind = "InferenceService") -> str:
    """Return a deployment's name as problems bear it."""
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


def owns(deployment: Deployment, owners: Sequence[Owner]) -> bool:
    """Return whether `deployment` is among the owners; one of its name with another uid was an earlier one."""
    return any(
        o.kind == deployment.kind
        and o.name == deployment.name
        and (o.uid == deployment.uid or not o.uid or not deployment.uid)
        for o in owners
    )


def _owners(metadata: Mapping[str, Any]) -> tuple[Owner, ...]:
    return tuple(
        Owner(
            cast("DeploymentKind", owner["kind"]), values.line(values.at(owner, "name")), values.line(owner.get("uid"))
        )
        for owner in values.items(metadata.get("ownerReferences"))
        if values.at(owner, "kind") in DEPLOYMENT_KINDS
    )


def _port(port: object) -> Port:
    return Port(
        sys.intern(values.line(values.at(port, "name")).lower()),
        sys.intern(values.line(values.at(port, "appProtocol")).lower()),
        _port_number(values.at(port, "port")),
        _port_number(values.at(port, "targetPort")),
    )


def _port_number(value: object) -> int:
    """Return a port's number, 0 where there is none; a targetPort that is a text is the name of a port of the pod."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LAST_PORT else 0
