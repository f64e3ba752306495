"""A scripted source of deployments, and a sink that records."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common.faults import Fault
from services.normalizer.facts import Gone, Ref
from services.normalizer.normalize.connection import Connection
from services.normalizer.source import Fact, News, Sink, Source
from services.normalizer.sourcebook import SourceKind
from tests.waiting import eventually


class Recorder(Sink):
    """What is passed on, and what is reported of connections."""

    def __init__(self) -> None:
        self.deployments: list[Ref] = []
        self.known: dict[str, Connection | Gone] = {}

    def changed(self, news: News) -> None:
        for ref, fact in news.items():
            if ref.is_deployment:
                self.deployments.append(ref)
            else:
                assert isinstance(fact, Connection | Gone)
                self.known["/".join(ref.ids)] = fact

    def listed(self, *, lacking: Fault | None = None) -> None: ...
    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None: ...


class Script:
    """A source that says what a test has it say."""

    id = "kserve"
    kind: SourceKind = "kserve"
    namespaces = ()

    def __init__(self) -> None:
        self.sink: Sink | None = None

    async def run(self, sink: Sink) -> None:
        """Keep whom to tell."""
        self.sink = sink

    def relist(self) -> None:
        """There is nothing else to say."""

    def tell(self, ref: Ref, fact: Fact | Gone) -> None:
        assert self.sink
        self.sink.changed({ref: fact})


@asynccontextmanager
async def running(source: Source, sink: Sink, *, script: Script) -> AsyncIterator[None]:
    """Run a source around a script from when the script can tell something to the end of the block."""
    task = asyncio.create_task(source.run(sink))
    await eventually(lambda: script.sink)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
