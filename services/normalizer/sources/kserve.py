"""InferenceServices of a cluster, with the Services and ServiceAccounts that belong to them, watched."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from common.kube.client import KubeClient
from common.kube.errors import KubeError
from common.kube.metrics import KubeMetrics
from common.kube.reflector import Reflector, ReflectorOptions
from common.kube.replica import Key
from common.kube.resources import INFERENCE_SERVICES, SERVICE_ACCOUNTS, SERVICES, Resource
from common.kube.state import State
from common.problems import Problem
from services.normalizer.contents import IsvcSource
from services.normalizer.normalize.deployment import (
    Deployment,
    ServiceAccountFacts,
    ServiceFacts,
    read_service,
    read_service_account,
)
from services.normalizer.normalize.isvc import read_isvc

T = TypeVar("T")


class IsvcListener(Protocol):
    """Who is told what a cluster has; called synchronously, in the order of events."""

    def isvc_changed(self, source: IsvcSource, key: Key, facts: Deployment | None, *, explicit: bool) -> None:
        """An isvc is new, another or gone."""

    def service_changed(self, source: IsvcSource, key: Key, facts: ServiceFacts | None) -> None:
        """A Service is new, another or gone."""

    def service_account_changed(self, source: IsvcSource, key: Key, facts: ServiceAccountFacts | None) -> None:
        """A ServiceAccount is new, another or gone."""

    def isvc_unusable(self, source: IsvcSource, key: Key, problem: Problem) -> None:
        """An isvc exists and cannot be read."""

    def source_listed(self, source: str) -> None:
        """The source was listed completely."""

    def source_state(self, source: str, state: State) -> None:
        """The source cannot be followed, or can again."""


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
        source: IsvcSource,
        client: KubeClient,
        namespaces: Sequence[str],
        listener: IsvcListener,
        metrics: KubeMetrics,
        options: ReflectorOptions | None = None,
    ) -> None:
        self.source = source
        self._client = client
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._listener = listener
        self._metrics = metrics
        self._options = options or ReflectorOptions()
        self._services_listed = asyncio.Event()
        self._accounts_listed = asyncio.Event()
        self._isvcs = self._reflectors(INFERENCE_SERVICES, read_isvc, self._isvc_collection())
        self._services = self._reflectors(SERVICES, read_service, self._services_collection())
        self._accounts = self._reflectors(SERVICE_ACCOUNTS, read_service_account, self._accounts_collection())

    @property
    def id(self) -> str:
        """The id of this source."""
        return self.source.id

    async def run(self) -> None:
        """Follow until cancelled.

        Services and ServiceAccounts are listed first, if they can be: an isvc is shown with its addresses at once.
        """
        async with asyncio.TaskGroup() as tasks:
            companions = [r.run for r in self._services] + [r.run for r in self._accounts]
            for follow in companions:
                tasks.create_task(follow())
            await self._services_listed.wait()
            await self._accounts_listed.wait()
            for isvc_reflector in self._isvcs:
                tasks.create_task(isvc_reflector.run())

    def confirm(self) -> None:
        """List the isvcs again soon, because the last listing is doubted."""
        for reflector in self._isvcs:
            reflector.relist()

    async def is_gone(self, namespace: str, name: str) -> bool:
        """Return whether the API server says that it has no such isvc; that it does not know the kind says nothing.

        Raises:
            RemoteError: it says neither.
        """
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
            for number, namespace in enumerate(self._namespaces)
        ]

    def _isvc_collection(self) -> _Collection[Deployment]:
        return _Collection(
            changed=lambda key, new, explicit: self._listener.isvc_changed(self.source, key, new, explicit=explicit),
            invalid=self._isvc_invalid,
            listed=lambda: self._listener.source_listed(self.id),
            state=lambda state: self._listener.source_state(self.id, state),
            parts=len(self._namespaces),
        )

    def _services_collection(self) -> _Collection[ServiceFacts]:
        return _Collection(
            changed=lambda key, new, _: self._listener.service_changed(self.source, key, new),
            invalid=lambda key, error: None,
            listed=self._services_listed.set,
            state=lambda state: self._companion_state(self._services_listed, "services", state),
            parts=len(self._namespaces),
        )

    def _accounts_collection(self) -> _Collection[ServiceAccountFacts]:
        return _Collection(
            changed=lambda key, new, _: self._listener.service_account_changed(self.source, key, new),
            invalid=lambda key, error: None,
            listed=self._accounts_listed.set,
            state=lambda state: self._companion_state(self._accounts_listed, "serviceaccounts", state),
            parts=len(self._namespaces),
        )

    def _companion_state(self, listed: asyncio.Event, kind: str, state: State) -> None:
        if state.waits_for_people:
            listed.set()  # models are shown without what we may not see, rather than not at all
        elif not state.ok and not listed.is_set():
            self._listener.source_state(self.id, state)  # its own listing waits for this one
        self._listener.source_state(f"{self.id}/{kind}", state)

    def _isvc_invalid(self, key: Key, error: Exception) -> None:
        problem = Problem(
            "error",
            f"InferenceService {'/'.join(key)}",
            f"it cannot be read: {error}",
            "compare it with the InferenceService API of KServe (serving.kserve.io/v1beta1)",
        )
        self._listener.isvc_unusable(self.source, key, problem)
