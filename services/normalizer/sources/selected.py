"""A wrapper around a source of deployments: what people do not want counts as stopped, so that it leaves at once."""

from typing import Protocol

from common.kube.replica import Key
from common.kube.state import State
from common.problems import Problem
from services.normalizer.contents import IsvcSource
from services.normalizer.normalize.deployment import Deployment, ServiceAccountFacts, ServiceFacts
from services.normalizer.normalize.selection import Selection


class DeploymentListener(Protocol):
    """Who is told what a source of deployments has."""

    def isvc_changed(
        self, source: IsvcSource, key: Key, facts: Deployment | None, *, explicit: bool, bare: bool = False
    ) -> None:
        """An isvc is new, another or gone; `bare`: a manifest without a status."""

    def service_changed(self, source: IsvcSource, key: Key, facts: ServiceFacts | None) -> None:
        """A Service is new, another or gone."""

    def service_account_changed(self, source: IsvcSource, key: Key, facts: ServiceAccountFacts | None) -> None:
        """A ServiceAccount is new, another or gone."""

    def isvc_unusable(self, source: IsvcSource, key: Key, problem: Problem) -> None:
        """An isvc exists and cannot be read."""

    def source_listed(self, source: str) -> None:
        """The source was listed completely."""

    def source_partly_listed(self, source: str, reason: str) -> None:
        """Something of the source cannot be read."""

    def source_state(self, source: str, state: State) -> None:
        """The source cannot be followed, or can again."""


class Selected:
    """Tells a listener what a source tells, with what the selection refuses made stopped."""

    def __init__(self, listener: DeploymentListener, selection: Selection) -> None:
        self._selection = selection
        self._listener = listener
        self.service_changed = listener.service_changed
        self.service_account_changed = listener.service_account_changed
        self.isvc_unusable = listener.isvc_unusable
        self.source_listed = listener.source_listed
        self.source_partly_listed = listener.source_partly_listed
        self.source_state = listener.source_state

    def isvc_changed(
        self, source: IsvcSource, key: Key, facts: Deployment | None, *, explicit: bool, bare: bool = False
    ) -> None:
        """An isvc is new, another or gone, or is not wanted; one that is not wanted has a status to say so."""
        chosen = self._selection.applied(facts) if facts is not None else None
        self._listener.isvc_changed(source, key, chosen, explicit=explicit, bare=bare and chosen is facts)
