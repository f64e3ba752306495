"""Watches the LLMInferenceServices of one cluster, in whichever API version the cluster serves.

The kind is optional: clusters without it, and accounts that may not read it, are reported once and change nothing else.
"""

import asyncio
from functools import partial

import structlog

from common.backoff import Backoff, spread
from common.faults import Fault, kind_of
from common.http.errors import RemoteError
from common.kube.errors import KubeError, fault_of
from common.kube.reflector import Reflector
from common.kube.replica import Key
from common.kube.reporting import STARTING
from common.kube.resources import LLM_INFERENCE_SERVICES, Resource
from services.normalizer.facts import Gone, Missing, Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_llmisvc
from services.normalizer.source import Sink
from services.normalizer.sourcebook import SourceKind, cluster_source
from services.normalizer.sources.kserve.collection import Collection, Scope, unreadable

log = structlog.get_logger("kserve")

_ABSENT = Fault(
    reason="the cluster has no LLMInferenceServices",
    remedy="nothing needs doing; they are found by themselves once KServe brings them",
    kind="absent",
)


class LlmSource:
    """Follows the LLMInferenceServices of one cluster, in all namespaces or those named.

    The Services that belong to them are reported by the source of the InferenceServices.
    """

    kind: SourceKind = "llm"

    def __init__(self, scope: Scope, *, secured: bool | None = None) -> None:
        """`secured`: the platform asks for a token unless told not to; None where each workload's Service tells."""
        self.id = cluster_source(self.kind, scope.cluster)
        self.namespaces = scope.namespaces
        self._scope = scope
        self._client = scope.client
        self._read = partial(read_llmisvc, secured=secured)
        self._backoff = Backoff(*scope.options.backoff)
        self._reflectors: list[Reflector[Deployment]] = []
        self._known: set[Key] = set()
        self._told: Fault | None = STARTING

    def relist(self) -> None:
        """List again now."""
        for reflector in self._reflectors:
            reflector.relist()

    async def is_gone(self, ref: Ref) -> bool:
        """Return whether the API server says that it has no such LLMInferenceService; False if it serves no version.

        Raises:
            RemoteError: it does not say.
        """
        resource = await self._served()
        namespace, name = ref.ids
        return resource is not None and await self._client.lacks(resource, name, namespace)

    async def run(self, sink: Sink) -> None:
        """Follow until cancelled, in another version when the current one is no longer served."""
        while True:
            try:
                resource = await self._served()
            except RemoteError as error:
                self._tell(sink, fault_of(error))
                await self._client.pause(self._backoff.next())
                continue
            self._backoff.reset()
            if resource is not None:
                await self._follow(resource, sink)
            else:
                self._tell(sink, _ABSENT)
                await asyncio.sleep(spread(self._scope.options.slow))

    async def _served(self) -> Resource | None:
        """Return the newest version that the cluster serves, None when it has no such kind.

        Every account may ask for this; where one may not, the right to list decides.
        """
        for resource in LLM_INFERENCE_SERVICES:
            try:
                if await self._client.serves(resource):
                    return resource
            except KubeError as error:
                if error.status == 403:
                    return resource
                raise
        return None

    async def _follow(self, resource: Resource, sink: Sink) -> None:
        """Follow one version until it is no longer served."""
        over = asyncio.Event()

        def changed(key: Key, facts: Deployment | None, explicit: bool) -> None:
            (self._known.discard if facts is None else self._known.add)(key)
            sink.changed({self._ref(key): facts or (Gone() if explicit else Missing())})

        def listed() -> None:
            """Report what another version had and this one lacks, then that the look is complete."""
            here = {key for reflector in self._reflectors for key in reflector.store}
            for key in self._known - here:
                changed(key, None, False)
            sink.listed()

        collection = Collection[Deployment](
            changed=changed,
            invalid=lambda key, error: sink.changed({self._ref(key): unreadable(self._ref(key), error)}),
            listed=listed,
            state=lambda fault: over.set() if kind_of(fault) == "absent" else self._tell(sink, fault),
        )
        self._reflectors = collection.create_reflectors(self._scope, resource, self._read)
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(reflector.run()) for reflector in self._reflectors]
            await over.wait()
            for task in following:
                task.cancel()

    def _ref(self, key: Key) -> Ref:
        return Ref.deployment("LLMInferenceService", self._scope.cluster, *key)

    def _tell(self, sink: Sink, fault: Fault | None) -> None:
        if fault == self._told:
            return
        if fault is not None and fault.kind == "absent":
            log.info("kind_not_served", kind="LLMInferenceService", fault=fault.reason, remedy=fault.remedy)
        self._told = fault
        sink.state(fault)
