"""Sources around other sources: what they have in common, and the one that applies the selection (opt-out, SELECTOR).

A wrapper has the identity of the source inside it, and changes or adds facts on their way to the sink.
"""

from collections.abc import Callable

from common.faults import Fault
from common.problems import Problem
from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.selection import Selection
from services.normalizer.source import Locating, News, Provable, Sink, Source


class Wrapper:
    """A source around another one; subclasses have a `run` of their own."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.id = source.id
        self.kind = source.kind
        self.namespaces = source.namespaces
        self.relist = source.relist

    async def is_gone(self, ref: Ref) -> bool:
        """Return whether the source has no such object; False if it cannot be asked for single objects."""
        return isinstance(self._source, Provable) and await self._source.is_gone(ref)

    def place_of(self, ref: Ref, problem: Problem) -> str:
        """Return the place in a file of a problem of an object; empty if the source does not know one."""
        return self._source.place_of(ref, problem) if isinstance(self._source, Locating) else ""


class WrappedSink(Sink):
    """The sink that a wrapper gives to the source inside it: `changed` takes the facts, the rest is passed on."""

    def __init__(self, sink: Sink, changed: Callable[[News], None]) -> None:
        self._sink = sink
        self._changed = changed

    def changed(self, news: News) -> None:
        """Have the wrapper take facts."""
        self._changed(news)

    def listed(self, *, lacking: Fault | None = None) -> None:
        """Pass on that a look was complete."""
        self._sink.listed(lacking=lacking)

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        """Pass on that the source cannot be read, or can again."""
        self._sink.state(fault, part=part, partly=partly)


class SelectionFilter(Wrapper):
    """A source whose deployments count as stopped when the selection refuses them, so that they leave at once."""

    def __init__(self, source: Source, selection: Selection) -> None:
        super().__init__(source)
        self._selection = selection

    async def run(self, sink: Sink) -> None:
        """Follow the source until cancelled."""

        def changed(news: News) -> None:
            applied = self._selection.applied
            sink.changed({ref: applied(fact) if isinstance(fact, Deployment) else fact for ref, fact in news.items()})

        await self._source.run(WrappedSink(sink, changed))
