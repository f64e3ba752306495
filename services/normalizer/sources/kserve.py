"""InferenceServices of a cluster, with the Services and ServiceAccounts that belong to them, watched."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

from common.kube.client import KubeClient
from common.kube.errors import KubeError
from common.kube.metrics import KubeMetrics
from common.kube.reflector import Reflector, ReflectorOptions
from common.kube.replica import Key
from common.kube.resources import INFERENCE_SERVICES, SERVICE_ACCOUNTS, SERVICES, Resource
from common.kube.state import State
from common.problems import Problem
from services.normalizer.facts import Gone, Missing, Ref, Unusable
from services.normalizer.normalize.deployment import (
    Deployment,
    ServiceAccountFacts,
    ServiceFacts,
    read_service,
    read_service_account,
)
from services.normalizer.normalize.isvc import read_isvc
from services.normalizer.source import Sink

T = TypeVar("T")


class _Collection(Generic[T]):
    """One kind of object in all the namespaces that are watched: which of its reflectors have listed, how they fare."""

    def __init__(
        self,
        *,
        changed: Callable[[Key, T | None, bool], None],
        invalid: Callable[[Key, Exception], None],
        listed: Callable[[], None],
        state: Callable[[State], None],
        parts: int,
    ) -> None:
        self._changed = changed
        self._invalid = invalid
        self._listed = listed
        self._state = state
        self._counts = [0] * parts
        self._states: list[State | None] = [None] * parts

    def part(self, number: int) -> "_Part[T]":
        return _Part(self, number)

    def change(self, key: Key, new: T | None, explicit: bool) -> None:
        self._changed(key, new, explicit)

    def invalid(self, key: Key, error: Exception) -> None:
        self._invalid(key, error)

    def synced(self, number: int) -> None:
        before = min(self._counts)
        self._counts[number] += 1
        if min(self._counts) > before:
            self._listed()

    def state(self, number: int, state: State) -> None:
        self._states[number] = state
        failing = next((s for s in self._states if s is not None and not s.ok), None)
        if failing is not None:
            self._state(failing)
        elif all(self._states):
            self._state(state)


class _Part(Generic[T]):
    """The handler of one namespace's reflector."""

    def __init__(self, collection: _Collection[T], number: int) -> None:
        self._collection = collection
        self._number = number

    def on_change(self, key: Key, old: T | None, new: T | None, explicit: bool) -> None:
        self._collection.change(key, new, explicit)

    def on_invalid(self, key: Key, error: Exception) -> None:
        self._collection.invalid(key, error)

    def on_synced(self) -> None:
        self._collection.synced(self._number)

    def on_state(self, state: State) -> None:
        self._collection.state(self._number, state)


class KserveSource:
    """Follows the InferenceServices of one cluster, in all namespaces or those named."""

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - what it is called everywhere
        cluster: str,
        client: KubeClient,
        namespaces: Sequence[str],
        metrics: KubeMetrics,
        options: ReflectorOptions | None = None,
    ) -> None:
        """`cluster` is the cluster's name in references."""
        self.id = id
        self.namespaces = tuple(namespaces)
        self._cluster = cluster
        self._client = client
        self._metrics = metrics
        self._options = options or ReflectorOptions()
        self._isvcs: list[Reflector[Deployment]] = []

    async def run(self, sink: Sink) -> None:
        """Follow until cancelled.

        Services and ServiceAccounts are listed first, if they can be: an isvc is shown with its addresses at once.
        """
        services = _Companions("service", self._cluster, sink)
        accounts = _Companions("serviceaccount", self._cluster, sink)
        companions = [
            *self._reflectors(SERVICES, read_service, services.collection(len(self._places))),
            *self._reflectors(SERVICE_ACCOUNTS, read_service_account, accounts.collection(len(self._places))),
        ]
        self._isvcs = self._reflectors(INFERENCE_SERVICES, read_isvc, self._isvc_collection(sink))
        async with asyncio.TaskGroup() as tasks:
            for reflector in companions:
                tasks.create_task(reflector.run())
            await services.listed.wait()
            await accounts.listed.wait()
            for isvc_reflector in self._isvcs:
                tasks.create_task(isvc_reflector.run())

    def relist(self) -> None:
        """List the isvcs again soon."""
        for reflector in self._isvcs:
            reflector.relist()

    @property
    def _places(self) -> Sequence[str | None]:
        return self.namespaces or (None,)

    async def is_gone(self, ref: Ref) -> bool:
        """Return whether the API server says that it has no such isvc; that it does not know the kind says nothing.

        Raises:
            RemoteError: it says neither.
        """
        namespace, name = ref.ids
        try:
            await self._client.get(INFERENCE_SERVICES, name, namespace)
        except KubeError as error:
            if error.status == 404 and error.reason == "NotFound" and f'"{name}"' in error.message:
                return True
            raise
        return False

    def _reflectors(
        self, resource: Resource, transform: Callable[[Mapping[str, Any]], T], collection: _Collection[T]
    ) -> list[Reflector[T]]:
        return [
            Reflector(
                client=self._client,
                resource=resource,
                namespace=namespace,
                transform=transform,
                handler=collection.part(number),
                metrics=self._metrics,
                name=resource.plural if namespace is None else f"{resource.plural}.{namespace}",
                options=self._options,
            )
            for number, namespace in enumerate(self._places)
        ]

    def _isvc_collection(self, sink: Sink) -> _Collection[Deployment]:
        def changed(key: Key, new: Deployment | None, explicit: bool) -> None:
            sink.changed({Ref.isvc(self._cluster, *key): new or (Gone() if explicit else Missing())})

        def invalid(key: Key, error: Exception) -> None:
            ref = Ref.isvc(self._cluster, *key)
            sink.changed({ref: Unusable(_unreadable(ref, error))})

        return _Collection(
            changed=changed, invalid=invalid, listed=sink.listed, state=sink.state, parts=len(self._places)
        )


class _Companions:
    """What belongs to isvcs, of one kind: `listed` once it was, or once it is clear that somebody has to allow it."""

    def __init__(self, kind: Literal["service", "serviceaccount"], cluster: str, sink: Sink) -> None:
        self._kind: Literal["service", "serviceaccount"] = kind
        self._cluster = cluster
        self._sink = sink
        self.listed = asyncio.Event()

    def collection(self, parts: int) -> _Collection[Any]:
        return _Collection(
            changed=self._changed,
            invalid=lambda key, error: None,
            listed=self.listed.set,
            state=self._state,
            parts=parts,
        )

    def _changed(self, key: Key, new: ServiceFacts | ServiceAccountFacts | None, explicit: bool) -> None:
        self._sink.changed({Ref(self._kind, self._cluster, key): new or Gone()})

    def _state(self, state: State) -> None:
        if state.waits_for_people:
            self.listed.set()  # models are shown without what we may not see, rather than not at all
        elif not state.ok and not self.listed.is_set():
            self._sink.state(state)  # the listing of isvcs waits for this one
        self._sink.state(state, part=f"{self._kind}s")


def _unreadable(ref: Ref, error: Exception) -> Problem:
    return Problem(
        "error",
        ref.label,
        f"it cannot be read: {error}",
        "compare it with the InferenceService API of KServe (serving.kserve.io/v1beta1)",
    )
