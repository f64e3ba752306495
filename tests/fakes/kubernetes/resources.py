"""The resource types a server knows, and which of them are installed at the moment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

CRD_GROUP = "apiextensions.k8s.io"


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """One kind of object, under one API group and one or more of its versions (the first is the preferred).

    `selectable` are the fields, besides name and namespace, that field selectors may name.
    """

    group: str
    versions: tuple[str, ...]
    plural: str
    kind: str
    namespaced: bool = True
    has_status: bool = False
    custom: bool = False
    short_names: tuple[str, ...] = ()
    selectable: tuple[str, ...] = ()

    @property
    def qualified(self) -> str:
        """The name in messages: `configmaps`, `inferenceservices.serving.kserve.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the type whatever the version: (group, plural)."""
        return self.group, self.plural

    def api_version(self, version: str | None = None) -> str:
        """`v1` or `serving.kserve.io/v1beta1`."""
        version = version or self.versions[0]
        return f"{self.group}/{version}" if self.group else version

    def definition(self) -> dict[str, Any]:
        """The CustomResourceDefinition that installs this type."""
        names = {"plural": self.plural, "singular": self.kind.lower(), "kind": self.kind}
        names_more = {"listKind": f"{self.kind}List", "shortNames": list(self.short_names)}
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        subresources: dict[str, Any] = {"subresources": {"status": {}}} if self.has_status else {}
        versions = [
            {"name": name, "served": True, "storage": not index, "schema": schema} | subresources
            for index, name in enumerate(self.versions)
        ]
        conditions = [{"type": name, "status": "True"} for name in ("NamesAccepted", "Established")]
        return {
            "apiVersion": f"{CRD_GROUP}/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.qualified},
            "spec": {
                "group": self.group,
                "names": names | names_more,
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "versions": versions,
            },
            "status": {"conditions": conditions, "storedVersions": [self.versions[0]]},
        }

    @classmethod
    def defined_by(cls, definition: Mapping[str, Any]) -> Self:
        """The type that a CustomResourceDefinition describes."""
        spec = definition["spec"]
        served = [version for version in spec["versions"] if version.get("served")]
        return cls(
            group=spec["group"],
            versions=tuple(version["name"] for version in sorted(served, key=lambda v: not v.get("storage"))),
            plural=spec["names"]["plural"],
            kind=spec["names"]["kind"],
            namespaced=spec["scope"] == "Namespaced",
            has_status=any("status" in version.get("subresources", {}) for version in served),
            custom=True,
            short_names=tuple(spec["names"].get("shortNames") or ()),
        )


def _core(
    plural: str,
    kind: str,
    *short_names: str,
    namespaced: bool = True,
    status: bool = False,
    selectable: tuple[str, ...] = (),
) -> ResourceType:
    return ResourceType(
        group="",
        versions=("v1",),
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        has_status=status,
        short_names=short_names,
        selectable=selectable,
    )


NAMESPACES = _core("namespaces", "Namespace", "ns", namespaced=False, status=True)
CONFIG_MAPS = _core("configmaps", "ConfigMap", "cm")
SECRETS = _core("secrets", "Secret")
PODS = _core("pods", "Pod", "po", status=True, selectable=("status.phase",))
SERVICES = _core("services", "Service", "svc", status=True)
SERVICE_ACCOUNTS = _core("serviceaccounts", "ServiceAccount", "sa")
CUSTOM_RESOURCE_DEFINITIONS = ResourceType(
    group=CRD_GROUP,
    versions=("v1",),
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
    has_status=True,
    short_names=("crd",),
)
EVENTS = _core("events", "Event", "ev")
BUILT_IN = (NAMESPACES, CONFIG_MAPS, SECRETS, PODS, SERVICES, SERVICE_ACCOUNTS, EVENTS, CUSTOM_RESOURCE_DEFINITIONS)

INFERENCE_SERVICES = ResourceType(
    group="serving.kserve.io",
    versions=("v1beta1",),
    plural="inferenceservices",
    kind="InferenceService",
    has_status=True,
    custom=True,
    short_names=("isvc",),
)
LLM_INFERENCE_SERVICES = ResourceType(
    group="serving.kserve.io",
    versions=("v1alpha1", "v1alpha2"),
    plural="llminferenceservices",
    kind="LLMInferenceService",
    has_status=True,
    custom=True,
    short_names=("llmisvc",),
)
SERVING_RUNTIMES = ResourceType(
    group="serving.kserve.io", versions=("v1alpha1",), plural="servingruntimes", kind="ServingRuntime", custom=True
)
CLUSTER_SERVING_RUNTIMES = ResourceType(
    group="serving.kserve.io",
    versions=("v1alpha1",),
    plural="clusterservingruntimes",
    kind="ClusterServingRuntime",
    namespaced=False,
    custom=True,
)
ROUTES = ResourceType(
    group="route.openshift.io", versions=("v1",), plural="routes", kind="Route", has_status=True, custom=True
)
HTTP_ROUTES = ResourceType(
    group="gateway.networking.k8s.io",
    versions=("v1",),
    plural="httproutes",
    kind="HTTPRoute",
    has_status=True,
    custom=True,
)
GATEWAYS = ResourceType(
    group="gateway.networking.k8s.io", versions=("v1",), plural="gateways", kind="Gateway", has_status=True, custom=True
)
BACKSTAGES = ResourceType(
    group="rhdh.redhat.com",
    versions=("v1alpha5", "v1alpha4"),  # what the operator of RHDH 1.10 serves
    plural="backstages",
    kind="Backstage",
    has_status=True,
    custom=True,
)
KNOWN_CUSTOM = (
    INFERENCE_SERVICES,
    LLM_INFERENCE_SERVICES,
    SERVING_RUNTIMES,
    CLUSTER_SERVING_RUNTIMES,
    ROUTES,
    HTTP_ROUTES,
    GATEWAYS,
    BACKSTAGES,
)


class InstalledTypes:
    """The types served now; custom ones come and go with their CustomResourceDefinition."""

    def __init__(self) -> None:
        self._types = {resource.key: resource for resource in BUILT_IN}

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(list(self._types.values()))

    def add(self, resource: ResourceType) -> None:
        """Serve the type from now on."""
        self._types[resource.key] = resource

    def discard(self, resource: ResourceType) -> None:
        """Serve the type no longer."""
        self._types.pop(resource.key, None)

    def find(self, group: str, version: str, plural: str) -> ResourceType | None:
        """The type served under this path, if any."""
        resource = self._types.get((group, plural))
        return resource if resource is not None and version in resource.versions else None

    def named(self, name: str) -> ResourceType:
        """The type with this plural, qualified name or kind.

        Raises:
            LookupError: when no such type is installed.
        """
        for resource in self:
            if name in (resource.plural, resource.qualified, resource.kind):
                return resource
        raise LookupError(f"no resource type named {name!r} is installed; there are {[t.qualified for t in self]}")

    def of_object(self, body: Mapping[str, Any]) -> ResourceType:
        """The type an object belongs to, by its apiVersion and kind.

        Raises:
            LookupError: when no such type is installed.
        """
        api_version, kind = body["apiVersion"], body["kind"]
        for resource in self:
            served = {resource.api_version(version) for version in resource.versions}
            if kind == resource.kind and api_version in served:
                return resource
        raise LookupError(f"{api_version} {kind} is not installed in this cluster")
