"""How each source fares: when it was read completely, whether it fails now, and whether all that can be known is known.

Pure: all times are given, in seconds by a clock that never goes back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from common.wire import Awaited
from services.normalizer.facts import LOCAL, Ref, cluster_of_id, in_cluster

SourceKind = Literal["kserve", "llm", "openai", "registry", "cluster"]
"""What a source has: InferenceServices, LLMInferenceServices, one OpenAI-compatible server, registered versions, or a
cluster's sources, which are not known yet."""

OF_CLUSTERS: Final[frozenset[SourceKind]] = frozenset({"kserve", "llm"})
"""Those that follow a kind of object of the API server: one that the server does not have is nothing to wait for."""
OPTIONAL: Final[frozenset[SourceKind]] = frozenset({"llm"})
OPTIONAL_PARTS: Final = frozenset({"servingruntimes", "clusterservingruntimes"})
"""A cluster without these, and an account that may not read them, are as they should be."""


def cluster_source(kind: SourceKind, cluster: str) -> str:
    """Return the id of the source of a cluster's deployments of a kind."""
    return in_cluster({"kserve": "kserve", "llm": "kserve-llm"}[kind], cluster)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one source fares, for people: `looked` is when it was read completely, None when it never was."""

    id: str
    kind: SourceKind
    looked: float | None
    failing: bool
    absent: bool


@dataclass(slots=True)
class _Source:
    kind: SourceKind
    namespaces: frozenset[str] = frozenset()
    looks: int = 0
    looked: float = -inf
    tried: bool = False
    failing: bool = False
    absent: bool = False
    reason: str = "it is being read for the first time"


@dataclass(frozen=True, slots=True)
class _Discovery:
    """How far the registries of a cluster are known, and why not all.

    `awaited`: more may soon be. `refused`: what is missing may not be read.
    """

    complete: bool
    awaited: bool
    refused: bool
    reason: str = ""


class SourceBook:
    """Keeps account of all sources by id."""

    def __init__(self, *, first_sync_grace: float) -> None:
        """`first_sync_grace`: so many seconds after the first source was read, the others are not waited for."""
        self._sources: dict[str, _Source] = {}
        self._ended: set[str] = set()
        self._discoveries: dict[str, _Discovery] = {}
        self._strangers: dict[str, tuple[str, str]] = {}
        self._first_look = inf
        self._first_sync_grace = first_sync_grace

    # --- what happens

    def declare(self, source: str, kind: SourceKind, *, namespaces: Collection[str] = ()) -> None:
        """There is such a source; `namespaces` are those that it looks at, all when empty."""
        self._sources.setdefault(source, _Source(kind)).namespaces = frozenset(namespaces)
        self._ended.discard(source)

    def listed(self, source: str, *, now: float) -> None:
        """A look at the source was complete: what it lacks is not there."""
        entry = self._sources[source]
        entry.looks += 1
        entry.looked = now
        entry.tried, entry.failing, entry.absent, entry.reason = True, False, False, ""
        self._first_look = min(self._first_look, now)

    def failed(self, source: str, *, waiting: bool = True, reason: str = "") -> None:
        """The source cannot be read; `waiting`: what it has may still come, so the feed is not complete without it.

        There is nothing to wait for where a cluster has no such kind of object, or a server no address.
        """
        entry = self._sources[source]
        entry.tried, entry.failing, entry.absent, entry.reason = True, True, not waiting, reason

    def recovered(self, source: str) -> None:
        """The source can be followed again from where it was left."""
        self._sources[source].failing = False

    def withdraw(self, source: str, *, proven: bool = False) -> None:
        """The source itself is gone; `proven`: whatever of the ways to sources has not been looked at."""
        self._sources.pop(source, None)
        if proven:
            self._ended.add(source)

    def discovering(
        self, *, complete: bool, waiting: bool = True, refused: bool = False, reason: str = "", cluster: str = LOCAL
    ) -> None:
        """Registries are looked for; `complete` says whether all ways to those of a cluster have been looked at.

        `waiting`: what is not complete may soon be, so that the feed is not complete without it. `refused`: no more is
        missing than what the account may not read.
        """
        self._discoveries[cluster] = _Discovery(
            complete, awaited=waiting and not complete, refused=refused and not complete, reason=reason
        )

    def ignore(self, source: str, *, reason: str, remedy: str) -> None:
        """There is such a registry or catalog, and it is not read."""
        self._strangers[source] = reason, remedy

    def ignore_no_longer(self, source: str) -> None:
        """What `ignore` said of a source no longer holds."""
        self._strangers.pop(source, None)

    def leave(self, cluster: str) -> None:
        """There is no such cluster any more."""
        self._discoveries.pop(cluster, None)

    # --- what follows for the feed

    @property
    def settled(self) -> bool:
        """Whether every source was tried once."""
        return all(source.tried for source in self._sources.values())

    def waiting_for(self) -> list[str]:
        """Return the sources that have not been read completely."""
        return [id_ for id_, source in sorted(self._sources.items()) if not source.looks and not source.absent]

    def awaited(self, *, documents: int, ever: bool, stored: Collection[str] = ()) -> tuple[Awaited, ...]:
        """Return what is missing for `complete`, with the reason, and until when it is waited for.

        `stored`: the sources of a damaged cache, which only a confirmation makes complete; empty when it is whole.
        """
        ends = self.first_sync_ends if documents and not ever and not stored and self.settled else inf
        until = int(ends) if ends < inf else None
        missing = [
            Awaited(source=id_, reason=source.reason, until=until)
            for id_, source in sorted(self._sources.items())
            if not source.looks and (not source.absent or id_ in stored)
        ]
        for cluster, discovery in sorted(self._discoveries.items()):
            if discovery.awaited or (stored and self._may_hide(cluster, stored)):
                source = in_cluster("discovery of registries", cluster)
                missing.append(Awaited(source=source, reason=discovery.reason, until=until))
        return tuple(missing)

    def standings(self) -> list[Standing]:
        """Return how each source fares, sorted by id."""
        return [
            Standing(id_, source.kind, source.looked if source.looks else None, source.failing, source.absent)
            for id_, source in sorted(self._sources.items())
        ]

    def reason(self, source: str) -> str:
        """Return why a source cannot be read, empty when it can."""
        return self._sources[source].reason if source in self._sources else ""

    @property
    def ignored(self) -> Mapping[str, tuple[str, str]]:
        """The registries and catalogs that are not read: why, and what to do."""
        return self._strangers

    @property
    def awaiting_registries(self) -> frozenset[str]:
        """The clusters that have a registry which was never tried and may soon tell more."""
        untried = (id_ for id_, source in self._sources.items() if source.kind == "registry" and not source.tried)
        return frozenset(map(cluster_of_id, untried))

    @property
    def first_sync_ends(self) -> float:
        """When sources that cannot be read are no longer waited for."""
        return self._first_look + self._first_sync_grace

    def complete(self, now: float, *, documents: int, ever: bool) -> bool:
        """Return whether what is known may be shown as all there is.

        Sources that cannot be read are waited for, but not forever while nothing was `ever` complete, once another one
        was read and there are `documents`.
        """
        discovered = not any(discovery.awaited for discovery in self._discoveries.values())
        if discovered and all(source.looks or source.absent for source in self._sources.values()):
            return True
        return not ever and documents > 0 and self.settled and now >= self.first_sync_ends

    def confirmed(self, with_entries: Collection[str]) -> bool:
        """Return whether every source was read completely, so that whatever is not stored does not exist.

        A kind of object that a cluster does not have counts as read unless entries of it are known. So do ways to
        registries that the account may not read, unless there are entries of a source that is not found otherwise.
        """
        return not any(self._may_hide(cluster, with_entries) for cluster in self._discoveries) and all(
            source.looks or (source.absent and id_ not in with_entries) for id_, source in self._sources.items()
        )

    # --- what follows for an entry

    def is_gone(self, source: str) -> bool:
        """Return whether there is no such source any more, as far as all ways to sources have been looked at."""
        known = source in self._ended or self._discovered(cluster_of_id(source))
        return source not in self._sources and self._clusters_known and known

    def is_declared(self, source: str) -> bool:
        """Return whether there is such a source."""
        return source in self._sources

    def of_kind(self, kind: SourceKind) -> list[str]:
        """Return the sources of a kind in the connector's own cluster."""
        return [id_ for id_, source in self._sources.items() if source.kind == kind and cluster_of_id(id_) == LOCAL]

    def is_untried(self, source: str) -> bool:
        """Return whether it is not known yet whether a source can be read."""
        return source in self._sources and not self._sources[source].tried

    def registries_of(self, cluster: str) -> list[str]:
        """Return the registries of a cluster, as sources."""
        return [id_ for id_, each in self._sources.items() if each.kind == "registry" and cluster_of_id(id_) == cluster]

    def covers(self, source: str, ref: str) -> bool:
        """Return whether the source looks where `ref` is."""
        namespaces = self._sources[source].namespaces if source in self._sources else ()
        if not namespaces:
            return True
        try:
            return Ref.parse(ref).ids[0] in namespaces
        except ValueError:
            return False

    def last_look(self, source: str) -> float | None:
        """Return when the source was read completely, None when it never was or cannot be followed now."""
        entry = self._sources.get(source)
        return entry.looked if entry and entry.looks and not entry.failing else None

    def last_look_at_all(self, kind: SourceKind) -> float | None:
        """Return when the last of the own sources of a kind was read; None when that cannot be said of all of them."""
        looks = [self.last_look(source) for source in self.of_kind(kind)]
        known = [look for look in looks if look is not None]
        if not looks or len(known) < len(looks) or (kind == "registry" and not self._discovered(LOCAL)):
            return None
        return min(known)

    # --- within

    @property
    def _clusters_known(self) -> bool:
        """Whether it is known of every cluster which sources it has."""
        return not any(source.kind == "cluster" for source in self._sources.values())

    def _may_hide(self, cluster: str, with_entries: Collection[str]) -> bool:
        """Return whether a cluster may have registries that are not known, but had entries."""
        if self._discovered(cluster):
            return False
        lost = (source for source in with_entries if source not in self._sources and cluster_of_id(source) == cluster)
        return not self._discoveries[cluster].refused or any(lost)

    def _discovered(self, cluster: str) -> bool:
        """Return whether all registries of a cluster are known; one that there is not has none."""
        discovery = self._discoveries.get(cluster)
        return discovery is None or discovery.complete
