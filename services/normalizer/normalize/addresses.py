"""Where a deployment answers: what its status says, corrected by the Services that it owns.

No field of the status is always right. Seen with KServe's controllers: a URL that nothing serves on services labelled
as local to the cluster (upstream, 2026), https for a plain port and a port left out although a headless Service needs
it (Open Data Hub 2.35), the HTTP port of a gRPC server (upstream with a gateway).
"""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from common.backstage import is_link
from services.normalizer.normalize import values
from services.normalizer.normalize.deployment import Addresses, Deployment, Port, ServiceFacts, owns
from services.normalizer.normalize.links import as_link
from services.normalizer.normalize.result import Notes
from services.normalizer.normalize.runtimes import Runtime, protocol_of

_CLUSTER_DOMAIN = "svc.cluster.local"
_VISIBILITY_LABELS = ("networking.kserve.io/visibility", "networking.knative.dev/visibility")
_ONLY_IN_CLUSTER = "cluster-local"
_PRIVATE_ENDINGS = (".svc", ".local", ".internal")
_PRIVATE_NETWORKS = tuple(
    ipaddress.ip_network(block)
    for block in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
_TLS_PORTS = frozenset({443, 8443})
DEFAULT_PORTS = {"http": 80, "https": 443}
BY_PUBLISHER = "publishers/"
"""Beginning of paths and names in which a publisher precedes the model: `publishers/meta/models/llama`."""
_LLM_WORKLOAD = "llminferenceservice-workload"
_LLM_WORKLOAD_SUFFIX = "-kserve-workload-svc"


def status_addresses(
    status: Mapping[str, Any], labels: Mapping[str, Any], *, namespace: str, notes: Notes
) -> Addresses:
    """Return the addresses in the status of an InferenceService."""
    url = _link(status.get("url"), "status.url", notes)
    address = _link(values.at(status, "address", "url"), "status.address.url", notes)
    inside = is_internal(url, namespace=namespace)
    internal = address if address and is_internal(address, namespace=namespace) else url if inside else ""
    local = any(values.line(labels.get(label)) == _ONLY_IN_CLUSTER for label in _VISIBILITY_LABELS)
    return Addresses("" if local or inside else url, internal)


def llm_addresses(status: Mapping[str, Any], *, namespace: str, name: str, notes: Notes) -> Addresses:
    """Return the addresses in the status of an LLMInferenceService.

    Each listener has three addresses: for all models, for one model by its path, and by its publisher's name. Their
    names are neither unique nor complete, so the path `/<namespace>/<name>` decides; https is preferred to http.
    """
    links = [
        _link(values.at(address, "url"), "status.addresses", notes) for address in values.items(status.get("addresses"))
    ]
    url = _link(status.get("url"), "status.url", notes)
    own = [link for link in links if urlsplit(link).path.rstrip("/") == f"/{namespace}/{name}"]
    others = [link for link in links if link and not urlsplit(link).path.startswith(f"/{BY_PUBLISHER}")]
    candidates = sorted(own or ([url] if url else others), key=lambda link: not link.lower().startswith("https://"))
    external = next((link for link in candidates if not is_internal(link, namespace=namespace)), "")
    internal = next((link for link in candidates if is_internal(link, namespace=namespace)), "")
    return Addresses(external, internal)


def is_internal(url: str, *, namespace: str) -> bool:
    """Return whether the host of `url` is reachable only inside the cluster, or a private network."""
    host = _host(urlsplit(url))
    if host.endswith(_PRIVATE_ENDINGS) or ".svc." in host:
        return True
    if "." not in host and ":" not in host:
        return True
    try:
        address = ipaddress.ip_address(host) if host[-1].isdigit() or ":" in host else None
    except ValueError:
        address = None
    if address is None:
        return host.count(".") == 1 and host.endswith(f".{namespace}")
    return any(address in network for network in _PRIVATE_NETWORKS if network.version == address.version)


def resolve(deployment: Deployment, services: Sequence[ServiceFacts]) -> Addresses:
    """Return the addresses of a deployment; the internal one has the port of its Service, where that is known."""
    known = deployment.addresses
    if known.internal:
        service = _of_host(known.internal, deployment, services)
        return Addresses(known.external, _with_port(known.internal, service) if service else known.internal)
    if known.external or not deployment.readiness.ready:
        return known
    service = _entry_service(deployment, services)
    if service is None:
        return known
    link = _with_port(f"http://{service.name}.{service.namespace}.{_CLUSTER_DOMAIN}", service)
    return Addresses("", link if is_link(link) else "")


def port_of(url: str, deployment: Deployment, services: Sequence[ServiceFacts]) -> Port | None:
    """Return the Service port behind an address, None where it is not known."""
    service = _of_host(url, deployment, services) or _entry_service(deployment, services)
    return _best_port(service, urlsplit(url)) if service else None


def is_grpc(url: str, deployment: Deployment, services: Sequence[ServiceFacts], runtime: Runtime | None = None) -> bool:
    """Return whether `url` speaks gRPC, by its scheme, else the port behind it, else the specification."""
    if url.startswith(("grpc://", "grpcs://")):
        return True
    port = port_of(url, deployment, services)
    if port and _speaks_grpc(port):
        return True
    if port and any(marker.startswith("http") for marker in (port.protocol, port.name)):
        return False
    return protocol_of(deployment.served, runtime).startswith("grpc")


def _speaks_grpc(port: Port) -> bool:
    """Return whether a port is marked as gRPC, or as HTTP/2 in plain text, which usually carries it."""
    return any(marker.startswith(("grpc", "h2c", "kubernetes.io/h2c")) for marker in (port.protocol, port.name))


def speaks_tls(port: Port) -> bool:
    """Return whether a port takes TLS, by its protocol or name, else by a number that is usual for it."""
    for marker in (port.protocol, port.name):
        if marker.startswith(("https", "tls", "grpcs")):
            return True
        if marker.startswith(("http", "h2c", "kubernetes.io/h2c")):
            return False
    return bool(_TLS_PORTS & {port.number, port.target})


def _host(parts: SplitResult) -> str:
    try:
        return (parts.hostname or "").rstrip(".")
    except ValueError:
        return ""


def _of_host(url: str, deployment: Deployment, services: Sequence[ServiceFacts]) -> ServiceFacts | None:
    """Return the Service that the host of `url` names."""
    if not services:
        return None
    name, _, rest = _host(urlsplit(url)).partition(".")
    namespace, _, domain = rest.partition(".")
    if namespace != deployment.namespace or domain.partition(".")[0] not in ("", "svc"):
        return None
    return next((s for s in services if s.name == name and s.namespace == namespace), None)


def _entry_service(deployment: Deployment, services: Sequence[ServiceFacts]) -> ServiceFacts | None:
    """Return the Service that takes the requests of a deployment, by the name that KServe gives it."""
    own = [s for s in services if s.namespace == deployment.namespace and s.ports and owns(deployment, s.owners)]
    if deployment.kind == "LLMInferenceService":
        workload = f"{deployment.name}{_LLM_WORKLOAD_SUFFIX}"
        labelled = (s for s in own if s.component == _LLM_WORKLOAD and s.application == deployment.name)
        return next((s for s in own if s.name == workload), next(labelled, None))
    for component in ("transformer", "predictor"):
        usual = f"{deployment.name}-{component}"
        found = [s for s in own if s.name.endswith(f"-{component}")]
        if found:
            return min(found, key=lambda service: (service.name != usual, service.name))
    return None


def _with_port(url: str, service: ServiceFacts) -> str:
    """Return `url` with the scheme and the port of the Service."""
    parts = urlsplit(url)
    port = _best_port(service, parts)
    if port is None:
        return url
    number = (port.target or port.number) if service.headless else port.number
    if not number:
        return url
    scheme = parts.scheme
    if scheme in DEFAULT_PORTS:
        scheme = "https" if speaks_tls(port) else "http"
    suffix = "" if DEFAULT_PORTS.get(scheme) == number else f":{number}"
    return parts._replace(scheme=scheme, netloc=f"{_host(parts)}{suffix}").geturl()


def _best_port(service: ServiceFacts, parts: SplitResult) -> Port | None:
    """Return the port that fits an address best: by scheme, HTTP before gRPC, by number, else the first."""
    if service.external or not service.ports:
        return None
    try:
        number = parts.port
    except ValueError:
        number = None

    def rank(port: Port) -> tuple[bool, bool, bool, bool]:
        return (
            speaks_tls(port) != (parts.scheme == "https"),
            _speaks_grpc(port),
            number not in (port.number, port.target),
            "metrics" in port.name or "health" in port.name,
        )

    return min(service.ports, key=rank)


def _link(written: object, field: str, notes: Notes) -> str:
    text = values.line(written)
    link = as_link(text)
    if text and link is None:
        notes.warning(
            "invalid_address",
            f"its {field} {values.shown(text)} is not an absolute URL and is left out",
            "KServe writes this field; look for the cause in the log of KServe's controller",
        )
    return link or ""
