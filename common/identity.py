"""Keys, URIs and entity names: distinct for distinct models, and the same from one day to the next.

A key is `segment1_segment2` and its URI `/segment1/segment2/model-catalog.json`. Segments may contain `_` themselves,
names may differ only in what sanitising drops or in case, and two namespaces may join to one name (`a-b` + `c`,
`a` + `b-c`): each of these is a collision. Anyone who holds a key or a name keeps it; the other's gets a short hash of
its reference as a suffix, which does not depend on who else is there.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from common.backstage import short_hash, with_suffix

DOCUMENT_NAME = "model-catalog.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one document wants to be called.

    `ref` names where it comes from and never changes; `segments` and the names are valid already; `created`
    (milliseconds of the epoch) decides between newcomers: the older has the plain name. `kept` are other spellings,
    of the model's name and of the server's, that a document which has such a name keeps. `cluster` is the end that a
    name gets where its plain form is taken, before any hash. `lasting`: the names that it wants never change, so that
    it keeps what it has, whatever its cluster is called by now.
    """

    ref: str
    segments: tuple[str, str]
    model_name: str
    server_name: str | None = None
    created: int = 0
    kept: tuple[str, str] = ("", "")
    cluster: str = ""
    lasting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What one document is called in the feed and in Backstage."""

    key: str
    uri: str
    model_name: str
    server_name: str | None = None


def key_of(segments: tuple[str, str]) -> str:
    """Return the key of a document without a collision."""
    return "_".join(segments)


def uri_of(segments: tuple[str, str]) -> str:
    """Return the path under which the feed serves a document."""
    return f"/{segments[0]}/{segments[1]}/{DOCUMENT_NAME}"


def segments_of(key: str) -> tuple[str, str]:
    """Return the segments of a key that came without its URI: split at the first `_`, as the original's key is meant.

    Raises:
        ValueError: when the key has no two parts.
    """
    first, _, second = key.partition("_")
    if not first or not second:
        raise ValueError(f"{key[:80]!r} is not a key: expected two parts joined by '_'")
    return first, second


class _Namespace:
    """Who holds which name of one kind, without regard to case."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}
        self._held: dict[str, str] = {}

    @property
    def holders(self) -> set[str]:
        """The references that hold a name."""
        return set(self._held)

    def seed(self, ref: str, name: str) -> None:
        """Let `ref` hold `name`, unless somebody does already."""
        if self._holders.setdefault(name.lower(), ref) == ref:
            self._held[ref] = name

    def adopt(self, names: Mapping[str, str]) -> set[str]:
        """Give each reference its name in `names`, even if another holds it now; return the references that change.

        Of two that are given the same name the first one gets it.
        """
        holders: dict[str, str] = {}
        for ref, name in sorted(names.items()):
            holders.setdefault(name.lower(), ref)
        changed = set()
        for low, ref in holders.items():
            holder = self._holders.get(low)
            if holder == ref and self._held[ref] == names[ref]:
                continue
            changed |= {ref, holder} if holder is not None else {ref}
        for ref in changed:
            self.release(ref)
        for ref in sorted(changed & names.keys()):
            self.seed(ref, names[ref])
        return changed

    def rename(self, former: str, ref: str) -> None:
        """Let `ref` hold what `former` holds, if anything."""
        name = self._held.get(former)
        if name is not None:
            self.release(former)
            self.release(ref)
            self.seed(ref, name)

    def release(self, ref: str) -> None:
        """Take back what `ref` holds, if anything."""
        name = self._held.pop(ref, None)
        if name is not None:
            del self._holders[name.lower()]

    def release_unwanted(self, ref: str, *options: Iterator[str]) -> None:
        """Take back what `ref` holds unless it is among the first of any of its `options`."""
        held = self._held.get(ref)
        if held is not None and not any(held in itertools.islice(names, 4) for names in options):
            self.release(ref)

    def take(self, ref: str, options: Iterator[str]) -> str:
        """Return what `ref` holds, else the first of its `options` that is free."""
        if ref not in self._held:
            self.seed(ref, next(name for name in options if name.lower() not in self._holders))
        return self._held[ref]


class Allocator:
    """Gives out keys and names, and remembers to whom.

    Entity names are compared without regard to case, as Backstage compares them, and so are keys.
    """

    def __init__(self) -> None:
        self._keys, self._models, self._servers = _Namespace(), _Namespace(), _Namespace()

    def seed(self, held: Mapping[str, Identity]) -> None:
        """Take over what is stored already, by reference; the first of two that hold the same keeps it."""
        for ref, identity in sorted(held.items()):
            self._keys.seed(ref, identity.key)
            self._models.seed(ref, identity.model_name)
            if identity.server_name:
                self._servers.seed(ref, identity.server_name)

    def adopt(self, held: Mapping[str, Identity]) -> set[str]:
        """Take over what storage shows, by reference, also against what was given out here; return what changes by it.

        So that of several writers who gave out names each for itself all end with the same.
        """
        servers = {ref: identity.server_name for ref, identity in held.items() if identity.server_name}
        return (
            self._keys.adopt({ref: identity.key for ref, identity in held.items()})
            | self._models.adopt({ref: identity.model_name for ref, identity in held.items()})
            | self._servers.adopt(servers)
        )

    def rename(self, former: str, ref: str) -> None:
        """Let `ref` hold what `former` holds: it is the same document under another reference."""
        for kind in (self._keys, self._models, self._servers):
            kind.rename(former, ref)

    def keep_only(self, refs: Collection[str]) -> None:
        """Give back what all others hold."""
        for kind in (self._keys, self._models, self._servers):
            for ref in kind.holders - set(refs):
                kind.release(ref)

    def release(self, ref: str) -> None:
        """Give back what `ref` holds; nothing happens when it holds nothing."""
        for kind in (self._keys, self._models, self._servers):
            kind.release(ref)

    def assign(self, claims: Iterable[Claim]) -> dict[str, Identity]:
        """Return an identity for each claim, by reference.

        Who holds something that is still wanted keeps it; of newcomers the oldest comes first. The result does not
        depend on the order of the claims.
        """
        ordered = sorted(claims, key=lambda claim: (claim.created, claim.ref))
        for claim in ordered:  # so that what one gives up by a new name another can have in the same round
            if claim.lasting:
                continue
            self._keys.release_unwanted(claim.ref, _keys(claim))
            model, server = (_names(name, claim) for name in claim.kept)
            self._models.release_unwanted(claim.ref, _names(claim.model_name, claim), model)
            self._servers.release_unwanted(claim.ref, _names(claim.server_name, claim), server)
        return {claim.ref: self._assign(claim) for claim in ordered}

    def _assign(self, claim: Claim) -> Identity:
        key = self._keys.take(claim.ref, _keys(claim))
        first = claim.segments[0]
        return Identity(
            key=key,
            uri=uri_of((first, key.removeprefix(f"{first}_"))),
            model_name=self._models.take(claim.ref, _names(claim.model_name, claim)),
            server_name=self._servers.take(claim.ref, _names(claim.server_name, claim)) if claim.server_name else None,
        )


def _keys(claim: Claim) -> Iterator[str]:
    """Yield the keys that a document can have, the wanted one first."""
    first, second = claim.segments
    return (key_of((first, name)) for name in _names(second, claim))


def _names(name: str | None, claim: Claim) -> Iterator[str]:
    """Yield the names that a document can have, the wanted one first; endless, and none for no name."""
    ref = claim.ref
    if name:
        yield name
        if claim.cluster:
            yield with_suffix(name, claim.cluster)
        for n in itertools.count():
            yield with_suffix(name, short_hash(f"{ref}#{n}" if n else ref))
