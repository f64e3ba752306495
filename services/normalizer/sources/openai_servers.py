"""Servers of the OpenAI API outside clusters, named in OPENAI_SERVERS: the models that each lists, polled."""

import asyncio
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from common.backoff import Backoff, happens, spread
from common.clocks import loop_time
from common.faults import Fault
from common.http.errors import RemoteError
from services.normalizer.facts import LOCAL, Ref
from services.normalizer.normalize.answers import models_path, read_model_list, server_deployment
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.source import Sink
from services.normalizer.sourcebook import SourceKind
from services.normalizer.sources.faults import BadAnswer, fault_of, internal, longest_wait
from services.normalizer.sources.http import Connector, FaultReporter, Remote
from services.normalizer.sources.refs import SourceRef

RETRY = 5.0
"""The longest first pause after a failure, in seconds."""


def server_refs(servers: Sequence[str], *, insecure: Sequence[str] = ()) -> Iterator[SourceRef]:
    """Yield the servers of OPENAI_SERVERS (`name=URL`), each name once; `insecure` are names and hosts."""
    urls = dict(reversed([server.split("=", 1) for server in servers]))
    for name, url in sorted(urls.items()):
        yield SourceRef(
            id=name,
            kind="openai",
            url=url.rstrip("/"),
            origin="OPENAI_SERVERS",
            name=name,
            verify=not {name, urlsplit(url).hostname} & set(insecure),
            api="openai",
        )


class OpenAiSource:
    """One server.

    When models are missing from its list for a while, as when the backends of a gateway restart, their names are kept
    for `hold` seconds after it was listed last. A server without any model is not believed at all.
    """

    kind: SourceKind = "openai"
    namespaces: tuple[str, ...] = ()

    def __init__(
        self,
        ref: SourceRef,
        *,
        connector: Connector,
        interval: float,
        hold: float,
    ) -> None:
        """`interval`: seconds between two polls, and the longest pause after failures."""
        self.id = ref.source
        self._ref = ref
        self._connector = connector
        self._interval = interval
        self._hold = hold
        self._backoff = Backoff(min(RETRY, interval), interval)
        self._reporter = FaultReporter()
        self._listed: dict[str, float] = {}
        self._told: Deployment | None = None
        self._again = asyncio.Event()

    async def run(self, sink: Sink) -> None:
        """Poll the server until cancelled."""
        async with self._connector.open(self._ref) as remote:
            while True:
                pause = await self._look(remote, sink)
                await happens(self._again, within=pause)
                self._again.clear()

    def relist(self) -> None:
        """Poll now."""
        self._told = None
        self._again.set()

    async def _look(self, remote: Remote, sink: Sink) -> float:
        """Poll once and report the result; return the seconds until the next poll."""
        try:
            with self._connector.metrics.poll_seconds.labels(self.id).time():
                names = await self._names(remote)
        except RemoteError as error:
            return self._fail(fault_of(self._ref, error), sink, wait=longest_wait([error]) or 0)
        except Exception as error:
            return self._fail(internal(self._ref, error), sink)
        self._reporter.update(self._ref, None)
        self._tell(names, sink)
        self._backoff.reset()
        return spread(self._interval)

    def _fail(self, fault: Fault, sink: Sink, *, wait: float = 0) -> float:
        self._reporter.update(self._ref, fault)
        sink.state(fault)
        return max(self._backoff.next(), min(wait, self._interval))

    async def _names(self, remote: Remote) -> Sequence[str]:
        """Return the names that are listed.

        Raises:
            RemoteError: they cannot be read, or there are none.
        """
        path = models_path(self._ref.url)
        names = read_model_list(await remote.get(path))
        if names is None:
            raise BadAnswer(f"{self._ref.url}{path}: 200 without a list of models")
        if not names:
            raise BadAnswer(f"{self._ref.url}{path}: the list of models is empty")
        return names

    def _tell(self, names: Sequence[str], sink: Sink) -> None:
        now = loop_time()
        self._listed |= dict.fromkeys(names, now)
        self._listed = {name: at for name, at in self._listed.items() if now - at <= self._hold}
        kept = [name for name in self._listed if name not in set(names)]
        deployment = server_deployment(
            self._ref.name,
            url=self._ref.url,
            models=(*names, *kept),
            authentication=self._connector.authenticates(self._ref),
        )
        if deployment != self._told:
            sink.changed({Ref.deployment("OpenAIServer", LOCAL, "", self._ref.name): deployment})
            self._told = deployment
        sink.state(None)
        sink.listed()
