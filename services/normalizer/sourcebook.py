"""The state of each source: when it was read completely, whether it fails, and whether all sources were read.

Pure: all times are given, in seconds of a clock that never goes back.
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
FIRST_LOOK: Final = "it is being read for the first time"
"""Why a source that has just been found is not complete."""

OF_CLUSTERS: Final[frozenset[SourceKind]] = frozenset({"kserve", "llm"})
"""Those that follow a kind of object of the API server: one that the server does not have is nothing to wait for."""
OPTIONAL: Final[frozenset[SourceKind]] = frozenset({"llm"})
OPTIONAL_PARTS: Final = frozenset({"servingruntimes", "clusterservingruntimes"})
"""It is normal that a cluster does not have these, or that the account may not read them."""


def cluster_source(kind: SourceKind, cluster: str) -> str:
    """Return the id of the source of a cluster's deployments of a kind."""
    return in_cluster({"kserve": "kserve", "llm": "kserve-llm"}[kind], cluster)


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """The state of one source, for people; `looked` is when it was last read completely, None when it never was."""

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
    reason: str = FIRST_LOOK


@dataclass(frozen=True, slots=True)
class _Discovery:
    """Whether all registries of a cluster are known, and why not.

    `awaited`: more may soon be found. `refused`: the account may not look in all places.
    """

    complete: bool
    awaited: bool
    refused: bool
    reason: str = ""


class SourceBook:
    """Records the state of all sources, by id."""

    def __init__(self, *, first_sync_grace: float) -> None:
        """`first_sync_grace`: seconds after the first source was read until the feed stops waiting for others."""
        self._sources: dict[str, _Source] = {}
        self._ended: set[str] = set()
        self._discoveries: dict[str, _Discovery] = {}
        self._ignored: dict[str, tuple[str, str]] = {}
        self._first_look = inf
        self._first_sync_grace = first_sync_grace

    # --- what happens

    def declare(self, source: str, kind: SourceKind, *, namespaces: Collection[str] = ()) -> None:
        """Add a source; `namespaces` are those that it looks at, all when empty."""
        self._sources.setdefault(source, _Source(kind)).namespaces = frozenset(namespaces)
        self._ended.discard(source)

    def listed(self, source: str, *, now: float) -> None:
        """Record that a source was read completely: what it did not show does not exist."""
        entry = self._sources[source]
        entry.looks += 1
        entry.looked = now
        entry.tried, entry.failing, entry.absent, entry.reason = True, False, False, ""
        self._first_look = min(self._first_look, now)

    def failed(self, source: str, *, waiting: bool = True, reason: str = "") -> None:
        """Record that a source cannot be read; `waiting`: it may be soon, so the feed is not complete without it.

        There is nothing to wait for when a cluster has no such kind of object, or a server has no address.
        """
        entry = self._sources[source]
        entry.tried, entry.failing, entry.absent, entry.reason = True, True, not waiting, reason

    def recovered(self, source: str) -> None:
        """Record that a source can be followed again without a new listing."""
        self._sources[source].failing = False

    def withdraw(self, source: str, *, proven: bool = False) -> None:
        """Remove a source that is gone; `proven`: that is certain, even if not all places were searched for sources."""
        self._sources.pop(source, None)
        if proven:
            self._ended.add(source)

    def set_discovery(
        self, *, complete: bool, waiting: bool = True, refused: bool = False, reason: str = "", cluster: str = LOCAL
    ) -> None:
        """Record the search for the registries of a cluster; `complete`: all places were searched.

        `waiting`: an incomplete search may soon be complete, so the feed waits for it. `refused`: only places that the
        account may not read are missing.
        """
        self._discoveries[cluster] = _Discovery(
            complete, awaited=waiting and not complete, refused=refused and not complete, reason=reason
        )

    def ignore(self, source: str, *, reason: str, remedy: str) -> None:
        """Record that a registry or catalog exists and is deliberately not read."""
        self._ignored[source] = reason, remedy

    def ignore_no_longer(self, source: str) -> None:
        """Undo `ignore`."""
        self._ignored.pop(source, None)

    def remove_cluster(self, cluster: str) -> None:
        """Remove a cluster."""
        self._discoveries.pop(cluster, None)

    # --- what follows for the feed

    @property
    def all_tried(self) -> bool:
        """Whether every source has answered or failed at least once."""
        return all(source.tried for source in self._sources.values())

    def waiting_for(self) -> list[str]:
        """Return the sources that have not been read completely yet."""
        return [id_ for id_, source in sorted(self._sources.items()) if not source.looks and not source.absent]

    def awaited(self, *, documents: int, ever: bool, stored: Collection[str] = ()) -> tuple[Awaited, ...]:
        """Return the sources that a complete feed waits for, with the reason, and until when.

        `stored`: the sources of a damaged cache, which only a confirmation makes complete; empty when it is whole.
        """
        ends = self.first_sync_ends if documents and not ever and not stored and self.all_tried else inf
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

    def sources(self) -> list[SourceHealth]:
        """Return the state of each source, sorted by id."""
        return [
            SourceHealth(id_, source.kind, source.looked if source.looks else None, source.failing, source.absent)
            for id_, source in sorted(self._sources.items())
        ]

    def reason(self, source: str) -> str:
        """Return why a source cannot be read, empty when it can."""
        return self._sources[source].reason if source in self._sources else ""

    @property
    def ignored(self) -> Mapping[str, tuple[str, str]]:
        """The registries and catalogs that are not read, with reason and remedy."""
        return self._ignored

    @property
    def awaiting_registries(self) -> frozenset[str]:
        """The clusters with a registry that has not been tried yet."""
        return frozenset(
            cluster_of_id(id_) for id_, each in self._sources.items() if each.kind == "registry" and not each.tried
        )

    @property
    def unsettled_clusters(self) -> frozenset[str]:
        """The clusters with a source that has neither answered nor failed yet."""
        return frozenset(
            cluster_of_id(id_) for id_, each in self._sources.items() if each.kind != "cluster" and not each.tried
        )

    @property
    def first_sync_ends(self) -> float:
        """When the feed stops waiting for sources that cannot be read."""
        return self._first_look + self._first_sync_grace

    def is_complete(self, now: float, *, documents: int, ever: bool) -> bool:
        """Return whether the documents may be shown as a complete feed.

        It waits for sources that cannot be read. While the feed was not `ever` complete, that ends some time after the
        first source was read, if there are `documents`.
        """
        discovered = not any(discovery.awaited for discovery in self._discoveries.values())
        if discovered and all(source.looks or source.absent for source in self._sources.values()):
            return True
        return not ever and documents > 0 and self.all_tried and now >= self.first_sync_ends

    def is_confirmed(self, with_entries: Collection[str]) -> bool:
        """Return whether every source was read completely, so that what is not stored does not exist.

        A kind of object that a cluster does not have counts as read, unless there are entries of it. So do places that
        the account may not search for registries, unless there are entries of a registry that was not found.
        """
        return not any(self._may_hide(cluster, with_entries) for cluster in self._discoveries) and all(
            source.looks or (source.absent and id_ not in with_entries) for id_, source in self._sources.items()
        )

    # --- what follows for an entry

    def is_gone(self, source: str) -> bool:
        """Return whether a source is gone, which is known only when all places were searched for sources."""
        known = source in self._ended or self._discovered(cluster_of_id(source))
        return source not in self._sources and self._clusters_known and known

    def is_declared(self, source: str) -> bool:
        """Return whether a source exists."""
        return source in self._sources

    def of_kind(self, kind: SourceKind) -> list[str]:
        """Return the sources of a kind in the connector's own cluster."""
        return [id_ for id_, source in self._sources.items() if source.kind == kind and cluster_of_id(id_) == LOCAL]

    def is_untried(self, source: str) -> bool:
        """Return whether a source has neither answered nor failed yet."""
        return source in self._sources and not self._sources[source].tried

    def registries_of(self, cluster: str) -> list[str]:
        """Return the registries of a cluster, as ids of sources."""
        return [id_ for id_, each in self._sources.items() if each.kind == "registry" and cluster_of_id(id_) == cluster]

    def covers(self, source: str, ref: str) -> bool:
        """Return whether the source looks at the namespace of `ref`."""
        namespaces = self._sources[source].namespaces if source in self._sources else ()
        if not namespaces:
            return True
        parsed = Ref.try_parse(ref)
        return parsed is not None and parsed.ids[0] in namespaces

    def last_look(self, source: str) -> float | None:
        """Return when a source was last read completely, None when it never was, or fails now."""
        entry = self._sources.get(source)
        return entry.looked if entry and entry.looks and not entry.failing else None

    def last_look_at_all(self, kind: SourceKind) -> float | None:
        """Return when all sources of a kind in our own cluster had been read; None when one of them was not."""
        looks = [self.last_look(source) for source in self.of_kind(kind)]
        known = [look for look in looks if look is not None]
        if not looks or len(known) < len(looks) or (kind == "registry" and not self._discovered(LOCAL)):
            return None
        return min(known)

    # --- within

    @property
    def _clusters_known(self) -> bool:
        """Whether the sources of every cluster are known."""
        return not any(source.kind == "cluster" for source in self._sources.values())

    def _may_hide(self, cluster: str, with_entries: Collection[str]) -> bool:
        """Return whether a cluster may have unknown registries that have entries."""
        if self._discovered(cluster):
            return False
        lost = (source for source in with_entries if source not in self._sources and cluster_of_id(source) == cluster)
        return not self._discoveries[cluster].refused or any(lost)

    def _discovered(self, cluster: str) -> bool:
        """Return whether all registries of a cluster are known; an unknown cluster has none."""
        discovery = self._discoveries.get(cluster)
        return discovery is None or discovery.complete
