"""Watches the InferenceServices of a cluster, and the Services and ServiceAccounts that belong to them."""

import asyncio
from typing import Any, Literal

from common.faults import Fault
from common.kube.reflector import Reflector
from common.kube.replica import Key
from common.kube.resources import (
    CLUSTER_SERVING_RUNTIMES,
    INFERENCE_SERVICES,
    SERVICE_ACCOUNTS,
    SERVICES,
    SERVING_RUNTIMES,
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
from services.normalizer.sourcebook import SourceKind, cluster_source
from services.normalizer.sources.kserve.collection import Collection, Scope, owned, unreadable

_CompanionKind = Literal["service", "serviceaccount", "runtime"]


class KserveSource:
    """Follows the InferenceServices of one cluster, in all namespaces or those named."""

    kind: SourceKind = "kserve"

    def __init__(self, scope: Scope, *, runtimes: bool = False) -> None:
        """With `runtimes` ServingRuntimes are followed too."""
        self.id = cluster_source(self.kind, scope.cluster)
        self.namespaces = scope.namespaces
        self._scope = scope
        self._runtimes = runtimes
        self._isvcs: list[Reflector[Deployment]] = []

    async def run(self, sink: Sink) -> None:
        """Follow until cancelled.

        Services and ServiceAccounts are listed first, if they can be: an isvc is shown with its addresses at once.
        """
        services = _Companions("service", self._scope.cluster, sink)
        accounts = _Companions("serviceaccount", self._scope.cluster, sink)
        companions: list[Reflector[Any]] = [
            *services.collection.reflectors(self._scope, SERVICES, owned(read_service)),
            *accounts.collection.reflectors(self._scope, SERVICE_ACCOUNTS, owned(read_service_account)),
        ]
        if self._runtimes:
            for resource, places in ((SERVING_RUNTIMES, self._scope.places), (CLUSTER_SERVING_RUNTIMES, (None,))):
                of_kind = _Companions("runtime", self._scope.cluster, sink, part=resource.plural)
                companions += of_kind.collection.reflectors(self._scope, resource, read_runtime, places=places)
        self._isvcs = self._isvc_collection(sink).reflectors(self._scope, INFERENCE_SERVICES, read_isvc)
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

    async def is_gone(self, ref: Ref) -> bool:
        """Return whether the API server says that it has no such isvc.

        Raises:
            RemoteError: it does not say.
        """
        namespace, name = ref.ids
        return await self._scope.client.lacks(INFERENCE_SERVICES, name, namespace)

    def _isvc_collection(self, sink: Sink) -> Collection[Deployment]:
        def changed(key: Key, new: Deployment | None, explicit: bool) -> None:
            sink.changed({Ref.isvc(self._scope.cluster, *key): new or (Gone() if explicit else Missing())})

        def invalid(key: Key, error: Exception) -> None:
            ref = Ref.isvc(self._scope.cluster, *key)
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
