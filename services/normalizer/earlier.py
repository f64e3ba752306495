"""What earlier runs have stored, until sources confirm it: entries, servers of versions, names to take over. Pure."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from common import backstage
from common.wire import Stored
from services.normalizer.facts import LOCAL, MANIFESTS, Ref
from services.normalizer.ledger import Ledger
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.result import ClusterViews
from services.normalizer.sourcebook import SourceKind, cluster_source, unknown_source

_UNNAMED = "#server"
"""What follows a version's reference in that of its server, where the stored entry does not name the server."""


class Earlier:
    """The entries of earlier runs, by reference.

    A registry is known by its Service, its name or its URL. When people change how they write it, its models must keep
    their keys and names in Backstage: a version takes over the entry of a version with the same origin.
    """

    def __init__(self, ledger: Ledger, views: ClusterViews) -> None:
        self._ledger = ledger
        self._views = views
        self._entries: dict[str, Stored] = {}
        self.unseen = UnseenVersions({}, views)
        """The stored versions that no registry has shown since the start."""
        self._by_origin: dict[str, str] = {}
        self._successors: dict[str, str] = {}
        self._servers: dict[str, str] = {}

    def load(self, stored: Mapping[str, Stored]) -> None:
        """Load what an earlier run has stored, by key."""
        self._entries = {entry.ref: entry for entry in stored.values() if entry.ref}
        self.unseen = UnseenVersions(self._entries, self._views)
        counts = Counter(entry.origin for entry in self._entries.values() if entry.origin)
        self._by_origin = {entry.origin: ref for ref, entry in self._entries.items() if counts[entry.origin] == 1}

    def __contains__(self, ref: object) -> bool:
        """Return whether an earlier run has stored an entry of a reference."""
        return ref in self._entries

    def get(self, ref: str) -> Stored | None:
        """Return the entry of a reference, None when there is none."""
        return self._entries.get(ref)

    def version_ids(self, registry: str) -> set[str]:
        """Return the ids of the versions of a registry."""
        refs = (Ref.parse(ref) for ref in self._entries if ref.startswith("registry:"))
        return {ref.ids[1] for ref in refs if ref.place == registry}

    # --- versions under another name of their registry

    def successor(self, ref: str) -> str:
        """Return the reference that has the entry of a reference now."""
        return self._successors.get(ref, ref)

    def take_over(self, ref: str, origin: str) -> str | None:
        """Give a new version the entry that it had under another name of its registry.

        Returns the former reference, or nothing when there is no such entry; None while it is not known whether the
        other registry is really gone.
        """
        former = self._by_origin.get(origin, "") if origin else ""
        if former in ("", ref):
            return ""
        free = self._ledger.may_inherit(self._entries[former].source)
        if not free:
            return None if free is None else ""
        self._successors[self._by_origin.pop(origin)] = ref
        self._entries[ref] = self._entries[former]
        if former in self._servers:
            self._servers[ref] = self._servers.pop(former)
        return former

    # --- deployments that were stored as the servers of versions

    def expect_servers(self, now: float) -> None:
        """Have the ledger expect the servers that were stored with versions."""
        for ref, entry in self._entries.items():
            if ref.startswith("registry:") and entry.server_name:
                self._servers[ref] = entry.server_ref or f"{ref}{_UNNAMED}"
                self._expect(self._servers[ref], now)

    def versions_awaiting(self, server: str = "") -> set[str]:
        """Return the versions that wait for their stored server: a certain one, or any."""
        return {version for version, each in self._servers.items() if server in ("", each)}

    def attribute_server(self, ref: str, version: str, now: float) -> None:
        """Take a deployment for the stored server of its version, if the entry does not name another one."""
        unnamed = f"{version}{_UNNAMED}"
        if self._servers.get(version) == unnamed and self._ledger.knows(unnamed):
            self._ledger.forget(unnamed)
            self._expect(ref, now)
            self._servers[version] = ref

    def awaits_server(self, version: str, *, known: Collection[str]) -> bool:
        """Return whether a version still waits for its stored server; `known` are all deployments that were seen."""
        server = self._servers.get(version)
        return server is not None and server not in known and self._ledger.knows(server)

    def stop_awaiting(self, version: str) -> None:
        """Forget which server was stored with a version."""
        server = self._servers.pop(version, "")
        if server.endswith(_UNNAMED):
            self._ledger.forget(server)

    def _expect(self, server: str, now: float) -> None:
        kind: SourceKind = "llm" if server.startswith("llmisvc:") else "kserve"
        cluster = LOCAL if server.endswith(_UNNAMED) else Ref.parse(server).place
        # In the own cluster the original may have stored it, which names no source.
        source = unknown_source(kind) if cluster in (LOCAL, MANIFESTS) else cluster_source(kind, cluster)
        self._ledger.expect(server, source, now=now)


class UnseenVersions:
    """Stored versions that no registry has shown since the start, indexed by what may serve them."""

    def __init__(self, stored: Mapping[str, Stored], views: ClusterViews) -> None:
        self._views = views
        self._refs = {ref for ref in stored if ref.startswith("registry:")}
        self._by_version: defaultdict[str, set[str]] = defaultdict(set)
        self._by_server: defaultdict[str, set[str]] = defaultdict(set)
        names = []
        for ref in self._refs:
            self._by_version[ref.rpartition(":")[2]].add(ref)
            if stored[ref].server_ref:
                self._by_server[stored[ref].server_ref].add(ref)
            elif stored[ref].server_name:
                names.append((stored[ref].server_name, ref))
        self._names = sorted(names)

    def discard(self, ref: str) -> bool:
        """Record that a version is shown, or has left; return whether that is new."""
        new = ref in self._refs
        self._refs.discard(ref)
        return new

    def of(self, registry: str) -> Iterator[str]:
        """Yield those of a registry."""
        return (ref for ref in self._refs if Ref.parse(ref).place == registry)

    def may_be_served_by(self, ref: str, deployment: Deployment) -> bool:
        """Return whether a deployment may serve one of them."""
        if not self._refs:  # nearly always, soon after the start
            return False
        labels, cluster = deployment.registry, Ref.parse(ref).place
        if labels is not None and self._any(self._by_version.get(labels.version, ()), cluster):
            return True
        if self._any(self._by_server.get(ref, ()), cluster):
            return True
        name = backstage.sanitize(deployment.name)
        for position in range(bisect_left(self._names, (name, "")), len(self._names)):
            server, version = self._names[position]
            if not server.startswith(name):
                return False
            if self._any((version,), cluster):
                return True
        return False

    def _any(self, refs: Iterable[str], cluster: str) -> bool:
        """Return whether one of these versions was not seen yet and may be served in a cluster."""
        unseen = (ref for ref in refs if ref in self._refs)
        return any(self._views.may_describe(Ref.parse(ref).place, cluster) for ref in unseen)
