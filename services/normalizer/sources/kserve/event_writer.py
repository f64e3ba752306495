"""Writes Events about the problems of deployments, which `kubectl describe` shows to the owner of a model.

The only thing that the connector writes in addition to its own cache, so it is off unless `EVENTS=true`.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog

from common import PRODUCT
from common.backoff import happens
from common.clocks import loop_time, wall_time
from common.http.errors import RemoteError
from common.kube.client import KubeClient
from common.kube.errors import KubeError
from common.kube.resources import EVENTS, INFERENCE_SERVICES, LLM_INFERENCE_SERVICES, Resource
from common.problems import Problem
from services.normalizer.facts import Gone, Ref, RefKind, Unusable
from services.normalizer.normalize import values
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.source import News, Sink, Source
from services.normalizer.sources.wrappers import WrappedSink, Wrapper

log = structlog.get_logger("events")

REPEAT = 2700.0
"""Seconds after which the Event of a lasting problem is renewed; API servers keep Events for an hour."""
PACE = 1.0
"""Seconds between two Events, so that a thousand faulty models do not burden the API server."""
PAUSE = 600.0
"""Seconds after which an Event that could not be written is tried again."""
_MESSAGE_LIMIT = 1024
_RESOURCES: Mapping[RefKind, tuple[str, tuple[Resource, ...]]] = {
    "isvc": ("InferenceService", (INFERENCE_SERVICES,)),
    "llmisvc": ("LLMInferenceService", LLM_INFERENCE_SERVICES),
}
"""The kind of an object that Events are about, and its resource in the versions that a cluster may serve."""

Problems = Mapping[str, tuple[Problem, ...]]


class _Notice(NamedTuple):
    """One problem of one deployment, by its reference."""

    ref: str
    problem: Problem


class EventWriter(Wrapper):
    """A source around another one that writes Events about the problems of its deployments."""

    def __init__(self, source: Source, *, client: KubeClient, wall_clock: Callable[[], float] = wall_time) -> None:
        super().__init__(source)
        self._client = client
        self._wall_clock = wall_clock
        self._uids: dict[str, str | None] = {}
        self._due: dict[_Notice, float] = {}
        self._problems: Problems = {}
        self._refused: set[str] = set()
        self._news = asyncio.Event()

    async def run(self, sink: Sink) -> None:
        """Follow the source and write Events until cancelled."""

        def changed(news: News) -> None:
            sink.changed(news)
            self._note(news)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._source.run(WrappedSink(sink, changed)))
            tasks.create_task(self._write_all())

    def on_problems(self, problems: Problems) -> None:
        """Take the problems of all objects, by reference."""
        self._problems = dict(problems)
        self._compare()

    def _note(self, news: News) -> None:
        for ref, fact in news.items():
            match fact:
                case Deployment(planned=False):
                    self._uids[str(ref)] = fact.uid
                case Unusable() if ref.is_deployment:
                    self._uids.setdefault(str(ref), None)  # it is requested when there is an Event to write
                case Gone() if ref.is_deployment:
                    self._uids.pop(str(ref), None)
        self._compare()

    def _compare(self) -> None:
        """Schedule an Event for each problem that needs action, and drop those of solved problems."""
        wanted = {
            _Notice(ref, problem)
            for ref, of_one in self._problems.items()
            for problem in of_one
            if ref in self._uids and problem.severity != "info"
        }
        self._due = {notice: at for notice, at in self._due.items() if notice in wanted}
        new = wanted - self._due.keys()
        if new:
            self._due |= dict.fromkeys(sorted(new, key=str), 0.0)
            self._news.set()

    async def _write_all(self) -> None:
        while True:
            self._news.clear()
            notice, at = min(self._due.items(), key=lambda item: item[1], default=(None, None))
            if notice is None or at is None:
                await self._news.wait()
                continue
            if (left := at - loop_time()) > 0:
                await happens(self._news, within=left)
                continue
            written = await self._write(notice)
            if notice in self._due:
                self._due[notice] = loop_time() + (REPEAT if written else PAUSE)
            await asyncio.sleep(PACE)

    async def _write(self, notice: _Notice) -> bool:
        """Write an Event, or renew an existing one; return whether that succeeded."""
        ref = Ref.parse(notice.ref)
        namespace = ref.ids[0]
        try:
            event = event_for(
                ref, await self._uid(ref), notice.problem, at=datetime.fromtimestamp(self._wall_clock(), UTC)
            )
            name = event["metadata"]["name"]
            try:
                await self._client.create(EVENTS, event, namespace)
            except KubeError as error:
                if error.status != 409:
                    raise
                await self._client.patch(EVENTS, name, {"lastTimestamp": event["lastTimestamp"]}, namespace)
        except RemoteError as error:
            if namespace not in self._refused:
                self._refused.add(namespace)
                log.warning("event_not_written", object=notice.problem.object, error=str(error))
            return False
        self._refused.discard(namespace)
        return True

    async def _uid(self, ref: Ref) -> str:
        """Return the uid of an object, by which `kubectl describe` finds its Events.

        That of an object that could not be read is asked for, with its metadata alone.

        Raises:
            RemoteError: the API server does not tell.
        """
        if (known := self._uids.get(str(ref))) is not None:
            return known
        namespace, name = ref.ids
        _, resources = _RESOURCES[ref.kind]
        served = [resource for resource in resources if await self._client.serves(resource)]
        found = await self._client.get((served or resources)[0], name, namespace, metadata_only=True)
        uid = values.line_at(found, "metadata", "uid")
        if str(ref) in self._uids:
            self._uids[str(ref)] = uid
        return uid


def event_for(ref: Ref, uid: str, problem: Problem, *, at: datetime) -> dict[str, Any]:
    """Return the Event (core/v1) of a problem; its name is always the same, so that there is only one."""
    namespace, deployment = ref.ids
    kind, resources = _RESOURCES[ref.kind]
    moment = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"{problem.message}. To do: {problem.remedy}" if problem.remedy else problem.message
    digest = hashlib.sha256(f"{uid} {problem.id} {problem.message}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{deployment[:200].rstrip('-.')}.{digest}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": f"{resources[-1].group}/{resources[-1].version}",
            "kind": kind,
            "namespace": namespace,
            "name": deployment,
            "uid": uid,
        },
        "type": "Warning",
        "reason": "".join(word.capitalize() for word in problem.id.split("_")),
        "message": text if len(text) <= _MESSAGE_LIMIT else f"{text[: _MESSAGE_LIMIT - 1]}…",
        "source": {"component": PRODUCT},
        "reportingComponent": PRODUCT,
        "reportingInstance": PRODUCT,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
