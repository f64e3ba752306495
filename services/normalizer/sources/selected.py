"""A wrapper around a source of deployments: what people do not want counts as stopped, so that it leaves at once."""

from services.normalizer.facts import Gone, Missing, Unusable
from services.normalizer.normalize.deployment import Deployment, Fact, Planned
from services.normalizer.normalize.selection import Selection
from services.normalizer.source import News, Sink, Source
from services.normalizer.sources.wrapping import PassingOn, Wrapper


class Selected(Wrapper):
    """A source as it is, but for what the selection refuses."""

    def __init__(self, source: Source, selection: Selection) -> None:
        super().__init__(source)
        self._selection = selection

    async def run(self, sink: Sink) -> None:
        """Tell what the source tells, until cancelled."""
        await self._source.run(_Selecting(sink, self._selection))


class _Selecting(PassingOn):
    """Passes on what a source tells, with what is not wanted made stopped."""

    def __init__(self, sink: Sink, selection: Selection) -> None:
        super().__init__(sink)
        self._selection = selection

    def changed(self, news: News) -> None:
        self._sink.changed({ref: self._chosen(fact) for ref, fact in news.items()})

    def _chosen(self, fact: Fact | Gone | Missing | Unusable) -> Fact | Gone | Missing | Unusable:
        match fact:
            case Deployment():
                return self._selection.applied(fact)
            case Planned(deployment):
                chosen = self._selection.applied(deployment)
                return fact if chosen is deployment else chosen  # one that is not wanted has a status to say so
        return fact
