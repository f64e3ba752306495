"""A wrapper around a source of deployments: what people do not want counts as stopped, so that it leaves at once."""

from common.kube.state import State
from services.normalizer.facts import Gone, Missing, Ref, Unusable
from services.normalizer.normalize.deployment import Deployment, Fact, Planned
from services.normalizer.normalize.selection import Selection
from services.normalizer.source import News, Provable, Sink, Source


class Selected:
    """A source as it is, but for what the selection refuses."""

    def __init__(self, source: Source, selection: Selection) -> None:
        self._source = source
        self._selection = selection
        self.id = source.id
        self.kind = source.kind
        self.namespaces = source.namespaces
        self.relist = source.relist

    async def run(self, sink: Sink) -> None:
        """Tell what the source tells, until cancelled."""
        await self._source.run(_Selecting(sink, self._selection))

    async def is_gone(self, ref: Ref) -> bool:
        """Return whether the source has no such object; one that cannot be asked does not say so."""
        return isinstance(self._source, Provable) and await self._source.is_gone(ref)


class _Selecting(Sink):
    """Passes on what a source tells, with what is not wanted made stopped."""

    def __init__(self, sink: Sink, selection: Selection) -> None:
        self._sink = sink
        self._selection = selection

    def changed(self, news: News) -> None:
        self._sink.changed({ref: self._chosen(fact) for ref, fact in news.items()})

    def listed(self) -> None:
        self._sink.listed()

    def state(self, state: State, *, part: str = "", partly: bool = False) -> None:
        self._sink.state(state, part=part, partly=partly)

    def _chosen(self, fact: Fact | Gone | Missing | Unusable) -> Fact | Gone | Missing | Unusable:
        match fact:
            case Deployment():
                return self._selection.applied(fact)
            case Planned(deployment):
                chosen = self._selection.applied(deployment)
                return fact if chosen is deployment else chosen  # one that is not wanted has a status to say so
        return fact
