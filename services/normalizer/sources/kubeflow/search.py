"""Follows the Routes, Services and Gateways that lead to registries and catalogs in a cluster."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import structlog

from common.backoff import Backoff
from common.faults import Fault, kind_of
from common.http.errors import RemoteError
from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.kube.reflector import Reflector
from common.kube.replica import Key
from common.kube.reporting import STARTING
from common.kube.resources import GATEWAYS, HTTP_ROUTES, ROUTES, SERVICES, Resource
from services.normalizer.sources.kubeflow.addresses import (
    GatewayFacts,
    RouteFacts,
    ServiceAddress,
    read_gateway,
    read_http_route,
    read_route,
    read_service_address,
)

T = TypeVar("T")
log = structlog.get_logger("registries")

_OPERATOR_ROUTES = "app.kubernetes.io/managed-by=model-registry-operator"
_SERVERS = "component in (model-registry,model-catalog)"
_UPSTREAM_CATALOGS = "app.kubernetes.io/part-of=model-catalog,app.kubernetes.io/component=server"
_DELETED_KEPT = 1000
TRANSIENT = 20.0
"""The seconds after which a refusal counts as a missing right: an API server that starts refuses everything."""


class _Watched(Generic[T]):
    """The handler of one reflector: what is known of one kind of object in one namespace."""

    def __init__(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        changed: Callable[[], None],
        noted: Callable[[Key, T | None], None],
        patience: float,
    ) -> None:
        """`noted` is called with an object that an event says is deleted, and with None for one that exists."""
        self.where = f"{resource}" if namespace is None else f"{resource} in namespace {namespace}"
        self.fault: Fault | None = STARTING
        self.refused = False
        """Whether reading them was refused for so long that the right seems to be missing."""
        self._changed = changed
        self._noted = noted
        self._patience = patience
        self._doubt: asyncio.TimerHandle | None = None
        self._synced = False

    @property
    def listed(self) -> bool:
        """Whether all objects are known; a cluster without this kind of object has none."""
        return self._synced or kind_of(self.fault) == "absent"

    def on_change(self, key: Key, old: T | None, new: T | None, explicit: bool) -> None:
        if new is not None:
            self._noted(key, None)
        elif explicit and old is not None:
            self._noted(key, old)
        if self._synced:
            self._changed()

    def on_invalid(self, key: Key, error: Exception) -> None:
        log.warning("object_unreadable", object="/".join(key), error=str(error))

    def on_synced(self) -> None:
        self._synced = True
        self._changed()

    def on_fault(self, fault: Fault | None) -> None:
        self.fault = fault
        if kind_of(fault) != "forbidden":
            self.refused = False
            if self._doubt is not None:
                self._doubt.cancel()
                self._doubt = None
        elif self._doubt is None:
            self._doubt = asyncio.get_running_loop().call_later(self._patience, self._refuse)
        self._changed()

    def _refuse(self) -> None:
        self.refused = True
        self._changed()


class ClusterSearch:
    """Follows Routes and Services, in all namespaces (None) or in those named; `changed` is called upon any change.

    `by_name`: all Routes are wanted, not only those that a registry's operator has marked. `gateways`: HTTPRoutes are
    followed too, and the Gateways that have their host names.
    """

    def __init__(
        self,
        *,
        client: KubeClient,
        metrics: KubeMetrics,
        namespaces: Sequence[str] | None,
        by_name: bool,
        gateways: bool,
        changed: Callable[[], None],
        patience: float = TRANSIENT,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._changed = changed
        self._patience = patience
        self._namespaced = namespaces is not None
        self._parts: list[_Watched[Any]] = []
        self._routes: list[Reflector[RouteFacts]] = []
        self._services: list[Reflector[ServiceAddress]] = []
        self._gateways: list[Reflector[GatewayFacts]] = []
        self._suspects: asyncio.Queue[tuple[Resource, Key, Any]] = asyncio.Queue()
        self._deleted: dict[tuple[Resource, Key], Any] = {}
        self.tasks: list[Callable[[], Any]] = [self._prove]
        """The tasks to run."""
        for namespace in (None,) if namespaces is None else namespaces:
            self._follow(ROUTES, "routes", "" if by_name else _OPERATOR_ROUTES, namespace, read_route, self._routes)
            self._follow(SERVICES, "services", _SERVERS, namespace, read_service_address, self._services)
            self._follow(SERVICES, "catalogs", _UPSTREAM_CATALOGS, namespace, read_service_address, self._services)
            if gateways:
                self._follow(HTTP_ROUTES, "httproutes", _OPERATOR_ROUTES, namespace, read_http_route, self._routes)
                self._follow(GATEWAYS, "gateways", "", namespace, read_gateway, self._gateways)

    def _follow(
        self,
        resource: Resource,
        name: str,
        selector: str,
        namespace: str | None,
        transform: Callable[[Any], T],
        reflectors: list[Reflector[T]],
    ) -> None:
        part: _Watched[T] = _Watched(
            resource,
            namespace,
            changed=self._changed,
            noted=partial(self._note, resource),
            patience=self._patience,
        )
        self._parts.append(part)
        reflector: Reflector[T] = Reflector(
            client=self._client,
            resource=resource,
            namespace=namespace,
            transform=transform,
            handler=part,
            label_selector=selector,
            metrics=self._metrics,
            name=f"registry-{name}" if namespace is None else f"registry-{name}.{namespace}",
        )
        reflectors.append(reflector)
        self.tasks.append(reflector.run)

    @property
    def routes(self) -> Iterable[RouteFacts]:
        """The Routes and HTTPRoutes that are known, these with the host of their Gateway where they have none."""
        gateways = {key: each for reflector in self._gateways for key, each in reflector.store.items()}
        routes = (each for reflector in self._routes for each in reflector.store.values())
        return [each.behind(gateways.get(each.gateway)) for each in routes]

    @property
    def services(self) -> Iterable[ServiceAddress]:
        """The Services that are known."""
        return list({key: each for reflector in self._services for key, each in reflector.store.items()}.values())

    @property
    def deleted(self) -> tuple[list[RouteFacts], list[ServiceAddress]]:
        """The deleted Routes and Services, as they were; deleted by an event and the answer to a request."""
        found = self._deleted.values()
        return (
            [each for each in found if isinstance(each, RouteFacts)],
            [each for each in found if isinstance(each, ServiceAddress)],
        )

    def _note(self, resource: Resource, key: Key, was: Any) -> None:
        if was is not None:
            self._suspects.put_nowait((resource, key, was))
        else:
            self._deleted.pop((resource, key), None)

    async def _prove(self) -> None:
        """Request the objects that events say are deleted, for they say so too when the labels were changed."""
        backoff = Backoff(1, 60, least=0.5)
        while True:
            resource, key, was = await self._suspects.get()
            try:
                gone = await self._client.lacks(resource, key[1], key[0])
            except RemoteError as error:
                log.info("removal_not_proven", object=f"{resource} {'/'.join(key)}", error=str(error))
                self._suspects.put_nowait((resource, key, was))
                await self._client.pause(backoff.next())
                continue
            backoff.reset()
            if gone:
                self._deleted[resource, key] = was
                while len(self._deleted) > _DELETED_KEPT:
                    del self._deleted[next(iter(self._deleted))]
                self._changed()

    @property
    def exhaustive(self) -> bool:
        """Whether all objects are known."""
        return all(part.listed for part in self._parts)

    @property
    def waiting(self) -> bool:
        """Whether more objects may soon be known; those that may not be read are not waited for."""
        return any(not part.listed and not part.refused for part in self._parts)

    @property
    def sufficient(self) -> bool:
        """Whether no administrator has to act: all is known, or one namespace of several and no more is awaited."""
        some = self._namespaced and any(part.listed for part in self._parts)
        return self.exhaustive or (some and not self.waiting)

    @property
    def reason(self) -> str:
        """Why not all objects are known."""
        return " ".join(sorted({_fault(part) for part in self._parts if not part.listed}))


def _fault(part: _Watched[Any]) -> str:
    fault = part.fault or STARTING
    if fault.kind == "forbidden" and not part.refused:
        return f"refused: reading {part.where}, which an API server that starts does for a moment; it is tried again."
    return f"{fault}."
