"""The kinds of Kubernetes objects that the connector reads and writes, and their paths in the API."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource type; `provided_by` names what to install if a cluster lacks it, empty for built-in ones."""

    group: str
    version: str
    plural: str
    provided_by: str = ""

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path, percent-encoded, of the collection or of one object.

        Without `namespace` it is the collection over all namespaces.

        Raises:
            ValueError: no object can have that name; it would give another path.
        """
        parts = ["api", self.version] if not self.group else ["apis", self.group, self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if not {".", ".."}.isdisjoint(parts):
            raise ValueError(f"{name!r} in namespace {namespace!r} cannot be the name of an object")
        return "/" + "/".join(quote(part, safe="") for part in parts)

    @property
    def versions_path(self) -> str:
        """The path of the list of resource types in this group and version."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def __str__(self) -> str:
        """Return the name for `kubectl`: `inferenceservices.serving.kserve.io`, `configmaps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


INFERENCE_SERVICES = Resource("serving.kserve.io", "v1beta1", "inferenceservices", provided_by="KServe")
LLM_INFERENCE_SERVICES = tuple(
    Resource("serving.kserve.io", version, "llminferenceservices", provided_by="KServe")
    for version in ("v1alpha2", "v1alpha1")
)
"""One for each version, the newest first; a cluster serves one of them, or both."""
SERVING_RUNTIMES = Resource("serving.kserve.io", "v1alpha1", "servingruntimes", provided_by="KServe")
CLUSTER_SERVING_RUNTIMES = Resource("serving.kserve.io", "v1alpha1", "clusterservingruntimes", provided_by="KServe")
NAMESPACES = Resource("", "v1", "namespaces")
SERVICES = Resource("", "v1", "services")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
CONFIG_MAPS = Resource("", "v1", "configmaps")
SECRETS = Resource("", "v1", "secrets")
PODS = Resource("", "v1", "pods")
EVENTS = Resource("", "v1", "events")
ROUTES = Resource("route.openshift.io", "v1", "routes", provided_by="OpenShift")
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", provided_by="the Gateway API")
GATEWAYS = Resource("gateway.networking.k8s.io", "v1", "gateways", provided_by="the Gateway API")
