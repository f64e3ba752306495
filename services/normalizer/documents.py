"""The documents that should be served, with the keys and names that they have been given. Pure."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial

from common import backstage
from common.details import Details
from common.identity import Allocator, Claim, Identity
from common.problems import Problem
from common.wire import Stored, Upsert
from services.normalizer.facts import Ref
from services.normalizer.normalize.result import Normalized

SLICE = 200
"""The number of documents to render or encode before other tasks get a turn."""


class _Titles:
    """The titles of documents, to add the cluster to those that documents of several clusters share."""

    def __init__(self) -> None:
        self._titles: dict[str, tuple[str, str]] = {}  # title and cluster by reference
        self._refs: defaultdict[str, set[str]] = defaultdict(set)  # by title

    def put(self, documents: Iterable[Normalized]) -> set[str]:
        """Set the titles of documents; return which other documents change because of that."""
        return self._set({each.ref: (each.details.title.casefold(), each.details.cluster) for each in documents})

    def discard(self, ref: str) -> set[str]:
        """Remove a document; return which other documents change because of that."""
        return self._set({ref: ("", "")})

    def distinct(self, normalized: Normalized) -> Details:
        """Return the details of a document; a title that another cluster has too gets the cluster's name."""
        details = normalized.details
        if not details.cluster or not self._is_shared(details.title.casefold()):
            return details
        return replace(details, title=f"{details.title} ({details.cluster})")

    def _set(self, titles: Mapping[str, tuple[str, str]]) -> set[str]:
        formers = [self._titles[ref] for ref in titles if ref in self._titles]
        before = {title: self._is_shared(title) for title, _ in (*titles.values(), *formers)}
        for ref, (title, cluster) in titles.items():
            former, _ = self._titles.pop(ref, ("", ""))
            self._refs[former].discard(ref)
            if not self._refs[former]:
                del self._refs[former]
            if title:
                self._titles[ref] = title, cluster
                self._refs[title].add(ref)
        changed = (title for title, shared in before.items() if self._is_shared(title) != shared)
        return {ref for title in changed for ref in self._refs.get(title, ())} - titles.keys()

    def _is_shared(self, title: str) -> bool:
        return len({self._titles[ref][1] for ref in self._refs.get(title, ())}) > 1


class Documents:
    """The documents that should be served, by key (`wanted`), and their names.

    `server_of` has the deployment that a document shows as its server. `readable`: names of new documents have dots and
    capitals. Documents whose title has become shared, or is no longer, are added to `dirty`.
    """

    def __init__(self, server_of: Mapping[str, str], dirty: set[str], *, readable: bool) -> None:
        self._allocator = Allocator()
        self._server_of = server_of
        self._dirty = dirty
        self._readable = readable
        self._keys: dict[str, str] = {}
        self._named: AbstractSet[str] = frozenset()  # those being published
        self._titles = _Titles()
        self._shown_in: dict[str, str] = {}  # the document that a server was last shown in
        self._changed: set[str] = set()
        self.wanted: dict[str, Upsert] = {}

    def __contains__(self, ref: object) -> bool:
        """Return whether the document of a reference should be served."""
        return ref in self._keys

    def adopt(self, stored: Mapping[str, Stored], owner: Callable[[str], str]) -> set[str]:
        """Take over the keys and names in storage; return the references of documents that change because of that.

        `owner` returns the reference that has an entry now. When storage has two entries of one reference, the shorter
        key counts, so that all replicas choose the same.
        """
        stored_names: dict[str, Identity] = {}
        for key, entry in sorted(stored.items(), key=lambda item: (len(item[0]), item[0]), reverse=True):
            if entry.ref and entry.model_name:
                if entry.server_ref:
                    self._shown_in.setdefault(entry.server_ref, owner(entry.ref))
                stored_names[owner(entry.ref)] = Identity(
                    key=key, uri=entry.uri, model_name=entry.model_name, server_name=entry.server_name or None
                )
        return self._allocator.adopt(stored_names) & self._keys.keys()

    def inherit(self, former: str, ref: str) -> None:
        """Give `ref` the key and names of another reference."""
        self._allocator.rename(former, ref)

    def free_names(self, stored: Mapping[str, Stored]) -> None:
        """Release the names of documents that are neither wanted nor stored any more."""
        kept = self._keys.keys() | self._named | {entry.ref for entry in stored.values()}
        self._allocator.keep_only(kept)
        self._shown_in = {server: ref for server, ref in self._shown_in.items() if ref in kept}

    def move_server(self, ref: str, departed: Callable[[str], str]) -> None:
        """Have the server of a document keep its name if the document that showed it before is leaving.

        `departed` returns why the document of a reference leaves, empty if it stays. Any other name is free only when
        its entry has left; the server of the new version would get another name for good.
        """
        server = self._server_of.get(ref, "")
        former = self._shown_in.get(server, ref)
        if server and former != ref and former not in self and departed(former):
            self._allocator.release_server(former)

    def is_stored(self, ref: str, stored: Mapping[str, str]) -> bool:
        """Return whether a document is stored in its current form; `stored` are digests by key."""
        key = self._keys.get(ref)
        return key is not None and stored.get(key) == self.wanted[key].digest

    def withdraw(self, ref: str) -> None:
        """Remove a document; its names are kept as long as it is stored."""
        self._drop(ref)
        self._dirty.update(self._titles.discard(ref))

    def _drop(self, ref: str) -> None:
        key = self._keys.pop(ref, None)
        if key is not None:
            del self.wanted[key]
            self._changed.add(key)

    def take_changed(self) -> set[str]:
        """Return the keys of documents that were made, changed or removed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def publish(
        self, documents: Collection[Normalized], guarded: Callable[[str, Callable[[], Upsert]], Upsert | None]
    ) -> Iterator[None]:
        """Give documents their keys and names, and make them wanted, in slices between which others may run.

        `guarded` calls a function for a reference and returns its result, or None when it fails.
        """
        self._dirty.update(self._titles.put(documents))
        identities = self._allocator.assign(map(self._claim, documents))
        self._named = identities.keys()
        upserts: list[Upsert] = []
        for number, normalized in enumerate(documents, 1):
            server, details = self._server_of.get(normalized.ref, ""), self._titles.distinct(normalized)
            upsert = guarded(normalized.ref, partial(_upsert, normalized, identities[normalized.ref], server, details))
            if upsert is not None:
                upserts.append(upsert)
            if number % SLICE == 0:
                yield
        for normalized in documents:
            self._drop(normalized.ref)
        for upsert in upserts:
            self._keys[upsert.ref] = upsert.key
            if upsert.server_ref:
                self._shown_in[upsert.server_ref] = upsert.ref
            self.wanted[upsert.key] = upsert
            self._changed.add(upsert.key)
        self._named = frozenset()

    def problems(self, normalized: Normalized) -> tuple[Problem, ...]:
        """Return the problems of a document, and that its name is taken if it is."""
        key = self._keys.get(normalized.ref, "")
        if not key or self.wanted[key].model_name == normalized.document.models[0].name:
            return normalized.problems
        claim, shown = self._claim(normalized), self.wanted[key].model_name
        taken = shown not in (claim.model_name, claim.kept[0])
        return (*normalized.problems, *(_renamed(normalized.ref, claim.model_name, shown) if taken else ()))

    def _claim(self, normalized: Normalized) -> Claim:
        document = normalized.document
        plain = document.models[0].name, document.model_server.name if document.model_server else ""
        readable = tuple(
            backstage.readable(text) or name for text, name in zip(normalized.own_names, plain, strict=True)
        )
        wanted, kept = (readable, plain) if self._readable else (plain, readable)
        return Claim(
            ref=normalized.ref,
            segments=normalized.segments,
            model_name=wanted[0],
            server_name=wanted[1] or None,
            created=normalized.created,
            kept=(kept[0], kept[1]),
            cluster=normalized.details.cluster,
            lasting=bool(normalized.details.cluster) and Ref.parse(normalized.ref).is_deployment,
        )


def _renamed(ref: str, wanted: str, shown: str) -> tuple[Problem, ...]:
    return (
        Problem(
            "name_taken",
            "info",
            Ref.parse(ref).label,
            f"another model is called {wanted} already: this one is shown as {shown}",
            "give one of the two another name to have it shown under its plain one",
        ),
    )


def _upsert(normalized: Normalized, identity: Identity, server_ref: str, details: Details) -> Upsert:
    return Upsert(
        key=identity.key,
        body=normalized.document.named(identity.model_name, identity.server_name).encode(),
        reconciler=normalized.reconciler,
        uri=identity.uri,
        source=normalized.source,
        ref=normalized.ref,
        updated=normalized.updated,
        model_name=identity.model_name,
        server_name=identity.server_name or "",
        server_ref=server_ref,
        origin=normalized.origin,
        card_key=normalized.card_key,
        details=details.encode(),
    )
