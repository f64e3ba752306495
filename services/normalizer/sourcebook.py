"""The state of each source: when it was read completely, whether it fails, and whether all sources were read.

Pure: all times are given, in seconds of a clock that never goes back.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from common.wire import Awaited
from services.normalizer.facts import LOCAL, Ref, cluster_of_id, in_cluster

SourceKind = Literal["kserve", "llm", "openai", "registry", "cluster"]
"""What a source has: InferenceServices, LLMInferenceServices, one OpenAI-compatible server, registered versions, or a
cluster's sources, which are not known yet."""
SearchState = Literal["exhaustive", "waiting", "refused", "misnamed"]
"""How far the search for the registries of a cluster is: all places were searched, or may soon be, or the account may
not read some of them, or a setting leads to no registry. All are known only after an exhaustive search."""
FIRST_LOOK: Final = "it is being read for the first time"
"""Why a source that has just been found is not complete."""

OF_CLUSTERS: Final[frozenset[SourceKind]] = frozenset({"kserve", "llm"})
"""Those that follow a kind of object of the API server: one that the server does not have is nothing to wait for."""
OPTIONAL: Final[frozenset[SourceKind]] = frozenset({"llm"})
OPTIONAL_PARTS: Final = frozenset({"servingruntimes", "clusterservingruntimes"})
"""It is normal that a cluster does not have these, or that the account may not read them."""

PLACEHOLDERS: Final[Mapping[str, SourceKind]] = {
    "original:kserve": "kserve",
    "unnamed:llm": "llm",
    "original:kubeflow": "registry",
}
"""Ids of the unknown sources of entries that the original wrote, and of servers within entries.

Any source of the kind in the connector's own cluster may be the right one, so all of them must agree.
"""


def unknown_source(kind: SourceKind) -> str:
    """Return the id of the unknown source of something that an earlier run has stored."""
    return next(id_ for id_, of in PLACEHOLDERS.items() if of == kind)


def cluster_source(kind: SourceKind, cluster: str) -> str:
    """Return the id of the source of a cluster's deployments of a kind."""
    return in_cluster({"kserve": "kserve", "llm": "kserve-llm"}[kind], cluster)


@dataclass(slots=True)
class SourceState:
    """The state of one source; `namespaces` are those that it looks at, all when empty.

    `looked` is when it was last read completely, None when it never was. `tried`: it has answered or failed.
    `absent`: it cannot be read, and there is nothing to wait for. `reason` says why it is not read.
    """

    id: str
    kind: SourceKind
    namespaces: frozenset[str] = frozenset()
    looked: float | None = None
    tried: bool = False
    failing: bool = False
    absent: bool = False
    reason: str = FIRST_LOOK


class SourceBook:
    """Records the state of all sources, by id.

    `ignored` are registries and catalogs that exist and are deliberately not read, with reason and remedy.
    """

    def __init__(self, *, first_sync_grace: float) -> None:
        """`first_sync_grace`: seconds after the first source was read until the feed stops waiting for others."""
        self._sources: dict[str, SourceState] = {}
        self._ended: set[str] = set()
        self._searches: dict[str, tuple[SearchState, str]] = {}
        self._first_look = inf
        self._first_sync_grace = first_sync_grace
        self.ignored: dict[str, tuple[str, str]] = {}

    # --- what happens

    def declare(self, source: str, kind: SourceKind, *, namespaces: Collection[str] = ()) -> None:
        """Add a source; `namespaces` are those that it looks at, all when empty."""
        self._sources.setdefault(source, SourceState(source, kind)).namespaces = frozenset(namespaces)
        self._ended.discard(source)

    def listed(self, source: str, *, now: float) -> None:
        """Record that a source was read completely: what it did not show does not exist."""
        entry = self._sources[source]
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

    def set_search(self, state: SearchState, *, reason: str = "", cluster: str = LOCAL) -> None:
        """Record how far the search for the registries of a cluster is."""
        self._searches[cluster] = state, reason

    def remove_cluster(self, cluster: str) -> None:
        """Remove a cluster."""
        self._searches.pop(cluster, None)

    # --- what follows for the feed

    @property
    def all_tried(self) -> bool:
        """Whether every source has answered or failed at least once."""
        return all(source.tried for source in self._sources.values())

    def awaited(self, *, documents: int, with_entries: Collection[str] | None = None) -> tuple[Awaited, ...]:
        """Return the sources that the feed waits for, with the reason, and until when.

        `with_entries`: the sources of a damaged cache, which only a confirmation makes complete; None when it is whole.
        """
        ends = self.first_sync_ends if documents and with_entries is None and self.all_tried else inf
        until = int(ends) if ends < inf else None
        return tuple(Awaited(source=id_, reason=reason, until=until) for id_, reason in self._unread(with_entries))

    def sources(self) -> list[SourceState]:
        """Return the state of each source, sorted by id."""
        return [source for _, source in sorted(self._sources.items())]

    def untried_clusters(self, *, registries_only: bool = False) -> frozenset[str]:
        """Return the clusters with a source, or a registry, that has neither answered nor failed yet."""
        return frozenset(
            cluster_of_id(id_)
            for id_, each in self._sources.items()
            if not each.tried and (each.kind == "registry" if registries_only else each.kind != "cluster")
        )

    @property
    def first_sync_ends(self) -> float:
        """When the feed stops waiting for sources that cannot be read."""
        return self._first_look + self._first_sync_grace

    def is_complete(self, now: float, *, documents: int) -> bool:
        """Return whether the documents may be shown for the first time.

        The feed waits for sources that cannot be read. That ends some time after the first source was read, if there
        are `documents`.
        """
        return not any(self._unread()) or (documents > 0 and self.all_tried and now >= self.first_sync_ends)

    def is_confirmed(self, with_entries: Collection[str]) -> bool:
        """Return whether every source was read completely, so that what is not stored does not exist.

        A kind of object that a cluster does not have counts as read, unless there are entries of it. So do places that
        the account may not search for registries, unless there are entries of a registry that was not found.
        """
        return not any(self._unread(with_entries))

    # --- what follows for an entry

    def is_gone(self, source: str) -> bool:
        """Return whether a source is gone, which is known only when all places were searched for sources."""
        if source in self._sources or source in PLACEHOLDERS:
            return False
        clusters_known = not any(each.kind == "cluster" for each in self._sources.values())
        return clusters_known and (source in self._ended or self._discovered(cluster_of_id(source)))

    def is_declared(self, source: str) -> bool:
        """Return whether a source exists."""
        return source in self._sources

    def meant_by(self, source: str) -> Sequence[str]:
        """Return the sources that an id may mean: itself, or for an unknown source all of its kind."""
        kind = PLACEHOLDERS.get(source)
        if kind is None:
            return (source,)
        return [id_ for id_, each in self._sources.items() if each.kind == kind and cluster_of_id(id_) == LOCAL]

    def is_untried(self, source: str) -> bool:
        """Return whether a source has neither answered nor failed yet."""
        return source in self._sources and not self._sources[source].tried

    def registries_of(self, cluster: str) -> list[str]:
        """Return the registries of a cluster, as ids of sources."""
        return [id_ for id_, each in self._sources.items() if each.kind == "registry" and cluster_of_id(id_) == cluster]

    def covers(self, source: str, ref: str) -> bool:
        """Return whether a source, or one of those that it may be, looks at the namespace of `ref`."""
        return any(self._covers(each, ref) for each in self.meant_by(source))

    def last_look(self, source: str) -> float | None:
        """Return when a source was last read completely, None when it never was, or fails now.

        One that is unknown was read when all that it may be had been.
        """
        if PLACEHOLDERS.get(source) == "registry" and not self._discovered(LOCAL):
            return None
        meant = [self._sources.get(id_) for id_ in self.meant_by(source)]
        looks = [each.looked for each in meant if each is not None and each.looked is not None and not each.failing]
        return min(looks) if looks and len(looks) == len(meant) else None

    # --- within

    def _covers(self, source: str, ref: str) -> bool:
        namespaces = self._sources[source].namespaces if source in self._sources else ()
        parsed = Ref.try_parse(ref) if namespaces else None
        return not namespaces or (parsed is not None and parsed.ids[0] in namespaces)

    def _unread(self, with_entries: Collection[str] | None = None) -> Iterator[tuple[str, str]]:
        """Yield what was not read completely yet, with the reason.

        With the sources that have entries, that includes what is not waited for and may have these entries.
        """
        for id_, source in sorted(self._sources.items()):
            if source.looked is None and not (source.absent and id_ not in (with_entries or ())):
                yield id_, source.reason
        for cluster, (state, reason) in sorted(self._searches.items()):
            if state == "waiting" or (with_entries is not None and self._may_hide(cluster, state, with_entries)):
                yield in_cluster("discovery of registries", cluster), reason

    def _may_hide(self, cluster: str, state: SearchState, with_entries: Collection[str]) -> bool:
        """Return whether a cluster may have unknown registries that have entries."""
        if state == "refused":
            return any(each not in self._sources and cluster_of_id(each) == cluster for each in with_entries)
        return state != "exhaustive"

    def _discovered(self, cluster: str) -> bool:
        """Return whether all registries of a cluster are known; an unknown cluster has none."""
        return self._searches.get(cluster, ("exhaustive", ""))[0] == "exhaustive"
