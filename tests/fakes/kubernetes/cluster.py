"""A fake cluster inside the test's own process: the API server on a socket, and a handle on its state."""

import asyncio
import base64
import copy
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from aiohttp import web

from tests.fakes.kubernetes import rbac
from tests.fakes.kubernetes.app import ApiServer, Delay
from tests.fakes.kubernetes.certificates import Certificates
from tests.fakes.kubernetes.counts import Counts
from tests.fakes.kubernetes.faults import Fault
from tests.fakes.kubernetes.history import Entry
from tests.fakes.kubernetes.manifests import load
from tests.fakes.kubernetes.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    INFERENCE_SERVICES,
    NAMESPACES,
    ROUTES,
    ResourceType,
)

ADMIN_TOKEN = "admin-token"
ADMIN = "system:admin"
HISTORY_LIMIT = 10_000


class FakeCluster:
    """An async context manager; inside it `url` answers as a Kubernetes API server does.

    `resources` are the custom types installed at the start; `history_limit` the events kept per type.
    """

    def __init__(
        self,
        *,
        tls: bool | Certificates = False,
        resources: Iterable[ResourceType] = (INFERENCE_SERVICES, ROUTES),
        port: int = 0,
        token: str = ADMIN_TOKEN,
        history_limit: int = HISTORY_LIMIT,
    ) -> None:
        self.token = token
        self._server = ApiServer(history_limit=history_limit)
        self._certificates = Certificates.create() if tls is True else (tls or None)
        self._ssl = _server_context(self._certificates)
        self._port = port
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self.grant(token, ADMIN, rbac.EVERYTHING)
        for namespace in ("default", "kube-system"):
            self.add_namespace(namespace)
        for resource in resources:
            self.install(resource)

    async def __aenter__(self) -> Self:
        self._runner = web.AppRunner(
            self._server.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5
        )
        await self._runner.setup()
        await self.come_back()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.go_down()
        assert self._runner is not None
        await self._runner.cleanup()

    # Reaching it

    @property
    def port(self) -> int:
        """The port it listens on, the same after a restart."""
        return self._port

    @property
    def url(self) -> str:
        """The server's address."""
        return f"{'https' if self._ssl else 'http'}://127.0.0.1:{self._port}"

    @property
    def ca_pem(self) -> str:
        """The certificate to trust; empty without TLS."""
        return self._certificates.ca if self._certificates else ""

    def kubeconfig(self, path: Path, *, token: str = "", namespace: str = "default") -> Path:
        """Write a kubeconfig for this server (with the administrator's token unless told) and return its path."""
        path.write_text(kubeconfig_text(self.url, self.ca_pem, token or self.token, namespace))
        return path

    def grant(self, token: str, user: str, rules: Iterable[rbac.Rule]) -> None:
        """Accept a token as this user's, with these rules. Namespaces of the rules are created: Roles live there."""
        rules = tuple(rules)
        self._server.guard.grant(token, user, rules)
        for namespace in {rule.namespace for rule in rules if rule.namespace}:
            self.add_namespace(namespace)

    def revoke(self, token: str) -> None:
        """Accept a token no longer."""
        self._server.guard.revoke(token)

    # Objects

    def log(self, namespace: str, pod: str, container: str, text: str) -> None:
        """Have a container's log say this."""
        self._server.logs[namespace, pod, container] = text

    def add_namespace(self, name: str) -> None:
        """Create a namespace unless it exists."""
        if self._server.store.find(NAMESPACES, ("", name)) is None:
            body = {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}
            body |= {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
            self._server.operations.create(NAMESPACES, "", body, as_given=True)

    def apply(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object, or replace the one stored, status included; its namespace is created when missing.

        Returns the object as stored. Raises ApiError when the server would refuse it, LookupError for an unknown kind.
        """
        resource = self._server.types.of_object(obj)
        body = copy.deepcopy({key: value for key, value in obj.items() if key not in ("apiVersion", "kind")})
        metadata = body["metadata"]
        namespace = metadata.get("namespace", "default") if resource.namespaced else ""
        if namespace:
            self.add_namespace(namespace)
        key = (namespace, metadata["name"])
        operations = self._server.operations
        if self._server.store.find(resource, key) is None:
            metadata.pop("resourceVersion", None)
            return _whole(resource, operations.create(resource, namespace, body, as_given=True))
        return _whole(resource, operations.replace(resource, key, body))

    def load(self, path: Path) -> int:
        """Apply every object of a YAML or JSON file, or of such files in a directory; returns how many."""
        objects = load(path)
        for obj in objects:
            self.apply(obj)
        return len(objects)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object; `kind` may be the plural too. Raises ApiError 404."""
        resource, key = self._key(kind, namespace, name)
        self._server.operations.delete(resource, key)

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object, None when there is none; `kind` may be the plural too."""
        resource, key = self._key(kind, namespace, name)
        entry = self._server.store.find(resource, key)
        return None if entry is None else _whole(resource, entry)

    def existing(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """The object, which a test needs to be there."""
        found = self.get(kind, namespace, name)
        assert found is not None, f"there is no {kind} {namespace}/{name}"
        return found

    def objects(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        """The objects of a kind (or plural), in all namespaces or one."""
        resource = self._server.types.named(kind)
        return [_whole(resource, entry) for entry in self._server.store.table(resource).now(namespace)]

    def install(self, resource: ResourceType) -> None:
        """Serve a custom type, as creating its CustomResourceDefinition does."""
        definition = resource.definition()
        body = {"metadata": definition["metadata"], "spec": definition["spec"], "status": definition["status"]}
        self._server.operations.create(CUSTOM_RESOURCE_DEFINITIONS, "", body, as_given=True)

    def uninstall(self, kind: str) -> None:
        """Delete a type's CustomResourceDefinition: its objects go, its watches end, its paths are 404."""
        resource = self._server.types.named(kind)
        self._server.operations.delete(CUSTOM_RESOURCE_DEFINITIONS, ("", resource.qualified))

    # What happens to requests

    @property
    def counts(self) -> Counts:
        """What was asked since the start or the last `counts.reset()`."""
        return self._server.counts

    @property
    def used(self) -> set[rbac.Access]:
        """Every access that was asked for, permitted or not."""
        return self._server.guard.used

    @property
    def denied(self) -> set[rbac.Access]:
        """The accesses that were refused."""
        return self._server.guard.denied

    @property
    def authorizations(self) -> set[str]:
        """Every Authorization header that came."""
        return self._server.guard.authorizations

    @property
    def revision(self) -> int:
        """The newest resourceVersion."""
        return self._server.store.revision

    def set_latency(self, latency: Delay) -> None:
        """Delay requests by `latency(verb, bytes)` seconds, see `counts.Latency`."""
        self._server.latency = latency

    def fault(self, action: str, **criteria: Any) -> Fault:
        """Put a fault in force, see `faults.Fault` for actions and criteria; `hits` counts on what is returned."""
        fault = Fault(action=action, **criteria)  # type: ignore[arg-type]
        self._server.faults.add(fault)
        return fault

    def clear_faults(self) -> None:
        """Let everything succeed again."""
        self._server.faults.clear()

    def compact(self) -> None:
        """Forget history: every resourceVersion and continue token given out so far is expired."""
        self._server.store.compact(self._server.types)

    def restore(self, backup: Iterable[Mapping[str, Any]]) -> None:
        """Restore objects from a backup of etcd, with the versions that they had: the server's revision goes back too.

        As after `etcdctl snapshot restore` without `--bump-revision` (etcd 3.5). Open watches are told that their
        version is gone; without that they would wait in silence until the server has got as far again.
        """
        self._server.store.restore([(self._server.types.named(obj["kind"]), obj) for obj in backup])
        self.disturb_watches("gone")

    def watches(self, plural: str = "") -> int:
        """How many watches are open."""
        return self._server.watches.count(plural)

    def disturb_watches(self, order: str, plural: str = "") -> int:
        """Make open watches `garbage`, `error`, `gone`, `silent`, `close`, or send a `bookmark`; returns how many."""
        return self._server.watches.order(order, plural)

    def send_bookmarks(self, plural: str = "") -> int:
        """Send a bookmark on every open watch that asked for bookmarks."""
        return self.disturb_watches("bookmark", plural)

    # Being away

    def drop_connections(self) -> None:
        """Break every connection."""
        assert self._runner is not None
        if self._runner.server is not None:
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()

    async def go_down(self) -> None:
        """Stop listening and break every connection; the objects stay."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        self.drop_connections()

    async def come_back(self) -> None:
        """Listen again, on the same port."""
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._ssl, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def restart(self, *, lose_history: bool = False, down_for: float = 0.0) -> None:
        """Restart the server; with `lose_history` every resourceVersion given out is expired afterwards."""
        await self.go_down()
        if lose_history:
            self.compact()
        await asyncio.sleep(down_for)
        await self.come_back()

    def _key(self, kind: str, namespace: str, name: str) -> tuple[ResourceType, tuple[str, str]]:
        resource = self._server.types.named(kind)
        return resource, (namespace if resource.namespaced else "", name)


def kubeconfig_text(url: str, ca_pem: str, token: str, namespace: str) -> str:
    """A kubeconfig with one context; without TLS it has no authority."""
    authority = {"certificate-authority-data": base64.b64encode(ca_pem.encode()).decode()} if ca_pem else {}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": url, **authority}}],
        "users": [{"name": "fake", "user": {"token": token}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": namespace}}],
    }
    return yaml.safe_dump(config)


def _server_context(certificates: Certificates | None) -> ssl.SSLContext | None:
    if certificates is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        return certificates.server_context(Path(directory))


def _whole(resource: ResourceType, entry: Entry) -> dict[str, Any]:
    kind = {"apiVersion": resource.api_version(), "kind": resource.kind}
    return {**kind, **copy.deepcopy(dict(entry.body))}
