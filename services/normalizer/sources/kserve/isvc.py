"""Watches the InferenceServices of a cluster, and the Services and ServiceAccounts that belong to them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from common.faults import Fault
from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.kube.reflector import Reflector, ReflectorOptions
from common.kube.replica import Key
from common.kube.resources import (
    CLUSTER_SERVING_RUNTIMES,
    INFERENCE_SERVICES,
    SERVICE_ACCOUNTS,
    SERVICES,
    SERVING_RUNTIMES,
    Resource,
)
from services.normalizer.facts import Gone, Missing, Ref
from services.normalizer.normalize.deployment import (
    Deployment,
    ServiceAccountFacts,
    ServiceFacts,
    read_service,
    read_service_account,
)
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.runtimes import Runtime, read_runtime
from services.normalizer.source import Sink
from services.normalizer.sourcebook import SourceKind
from services.normalizer.sources.kserve.collection import Collection, owned, unreadable

T = TypeVar("T")
_CompanionKind = Literal["service", "serviceaccount", "runtime"]


class KserveSource:
    """Follows the InferenceServices of one cluster, in all namespaces or those named."""

    kind: SourceKind = "kserve"

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - what it is called everywhere
        cluster: str,
        client: KubeClient,
        namespaces: Sequence[str],
        metrics: KubeMetrics,
        runtimes: bool = False,
        options: ReflectorOptions | None = None,
    ) -> None:
        """`cluster` is the cluster's name in references; with `runtimes` ServingRuntimes are followed too."""
        self.id = id
        self.namespaces = tuple(namespaces)
        self._cluster = cluster
        self._client = client
        self._metrics = metrics
        self._runtimes = runtimes
        self._options = options or ReflectorOptions()
        self._isvcs: list[Reflector[Deployment]] = []

    async def run(self, sink: Sink) -> None:
        """Follow until cancelled.

        Services and ServiceAccounts are listed first, if they can be: an isvc is shown with its addresses at once.
        """
        services = _Companions("service", self._cluster, sink)
        accounts = _Companions("serviceaccount", self._cluster, sink)
        companions: list[Reflector[Any]] = [
            *self._reflectors(SERVICES, owned(read_service), services.collection),
            *self._reflectors(SERVICE_ACCOUNTS, owned(read_service_account), accounts.collection),
        ]
        if self._runtimes:
            for resource, places in ((SERVING_RUNTIMES, self._places), (CLUSTER_SERVING_RUNTIMES, (None,))):
                of_kind = _Companions("runtime", self._cluster, sink, part=resource.plural)
                companions += self._reflectors(resource, read_runtime, of_kind.collection, places)
        self._isvcs = self._reflectors(INFERENCE_SERVICES, read_isvc, self._isvc_collection(sink))
        async with asyncio.TaskGroup() as tasks:
            for reflector in companions:
                tasks.create_task(reflector.run())
            await services.listed.wait()
            await accounts.listed.wait()
            for isvc_reflector in self._isvcs:
                tasks.create_task(isvc_reflector.run())

    def relist(self) -> None:
        """List the isvcs again now."""
        for reflector in self._isvcs:
            reflector.relist()

    @property
    def _places(self) -> Sequence[str | None]:
        return self.namespaces or (None,)

    async def is_gone(self, ref: Ref) -> bool:
        """Return whether the API server says that it has no such isvc.

        Raises:
            RemoteError: it does not say.
        """
        namespace, name = ref.ids
        return await self._client.lacks(INFERENCE_SERVICES, name, namespace)

    def _reflectors(
        self,
        resource: Resource,
        transform: Callable[[Mapping[str, Any]], T | None],
        collection: Collection[T],
        places: Sequence[str | None] = (),
    ) -> list[Reflector[T]]:
        return collection.reflectors(
            resource,
            transform,
            client=self._client,
            namespaces=places or self._places,
            metrics=self._metrics,
            options=self._options,
        )

    def _isvc_collection(self, sink: Sink) -> Collection[Deployment]:
        def changed(key: Key, new: Deployment | None, explicit: bool) -> None:
            sink.changed({Ref.isvc(self._cluster, *key): new or (Gone() if explicit else Missing())})

        def invalid(key: Key, error: Exception) -> None:
            ref = Ref.isvc(self._cluster, *key)
            sink.changed({ref: unreadable(ref, error)})

        return Collection(changed=changed, invalid=invalid, listed=sink.listed, state=sink.state)


class _Companions:
    """Companions of isvcs of one kind; `listed` is set when they were listed, or when that is not permitted."""

    def __init__(self, kind: _CompanionKind, cluster: str, sink: Sink, *, part: str = "") -> None:
        self._kind: _CompanionKind = kind
        self._part = part or f"{kind}s"
        self._cluster = cluster
        self._sink = sink
        self.listed = asyncio.Event()
        self.collection = Collection[Any](changed=self._changed, listed=self.listed.set, state=self._state)

    def _changed(self, key: Key, new: ServiceFacts | ServiceAccountFacts | Runtime | None, explicit: bool) -> None:
        self._sink.changed({Ref(self._kind, self._cluster, key): new or Gone()})

    def _state(self, fault: Fault | None) -> None:
        if fault is not None and fault.needs_administrator:
            self.listed.set()  # models are shown without what may not be read, rather than not at all
        elif fault is not None and not self.listed.is_set() and self._kind != "runtime":
            self._sink.state(fault)  # the listing of isvcs waits for this one
        self._sink.state(fault, part=self._part)
