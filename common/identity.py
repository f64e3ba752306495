"""Assigns keys, URIs and entity names: different for different models, and stable over time.

A key is `segment1_segment2` and its URI `/segment1/segment2/model-catalog.json`. Collisions are possible: segments may
contain `_`, names may differ only in case or in characters that sanitising removes, and two namespaces and names may
give the same text (`a-b` + `c`, `a` + `b-c`). A document keeps the key and the names that it has; another one that
wants the same gets a short hash of its reference as a suffix, which does not depend on other documents.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from common.backstage import short_hash, with_suffix

DOCUMENT_NAME = "model-catalog.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The key and the names that a document wants.

    `ref` names the object that it comes from and never changes; `segments` and the names are valid. `created`
    (milliseconds since the epoch) decides between new documents: the older one gets the plain name. `kept` are other
    spellings of the model's and the server's name: a document that has such a name keeps it. `cluster` is the first
    suffix that is tried if the plain name is taken, before a hash. `lasting`: the wanted names never change, so the
    document keeps the names it has, even if its cluster was renamed.
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
    """The key, URI and entity names of a document."""

    key: str
    uri: str
    model_name: str
    server_name: str | None = None


def key_of(segments: tuple[str, str]) -> str:
    """Return the key of a document if there is no collision."""
    return "_".join(segments)


def uri_of(segments: tuple[str, str]) -> str:
    """Return the path of a document in the feed."""
    return f"/{segments[0]}/{segments[1]}/{DOCUMENT_NAME}"


def segments_of(key: str) -> tuple[str, str]:
    """Return the segments of a key whose URI is unknown: split at the first `_`, as the original does.

    Raises:
        ValueError: the key does not have two parts.
    """
    first, _, second = key.partition("_")
    if not first or not second:
        raise ValueError(f"{key[:80]!r} is not a key: expected two parts joined by '_'")
    return first, second


class _Namespace:
    """The holders of the names of one kind, case-insensitive."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}
        self._held: dict[str, str] = {}

    @property
    def holders(self) -> set[str]:
        """The references that hold a name."""
        return set(self._held)

    def __contains__(self, ref: object) -> bool:
        """Return whether a reference holds a name."""
        return ref in self._held

    def seed(self, ref: str, name: str) -> None:
        """Give `name` to `ref`, unless another reference holds it."""
        if self._holders.setdefault(name.lower(), ref) == ref:
            self._held[ref] = name

    def adopt(self, names: Mapping[str, str]) -> set[str]:
        """Give each reference its name in `names`, even if another holds it; return the references that change.

        If two references have the same name, the first one gets it.
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
        """Give the name of `former`, if it holds one, to `ref`."""
        name = self._held.get(former)
        if name is not None:
            self.release(former)
            self.release(ref)
            self.seed(ref, name)

    def release(self, ref: str) -> None:
        """Release the name of `ref`, if it holds one."""
        name = self._held.pop(ref, None)
        if name is not None:
            del self._holders[name.lower()]

    def release_unwanted(self, ref: str, *options: Iterator[str]) -> None:
        """Release the name of `ref`, unless it is among the first names of one of its `options`."""
        held = self._held.get(ref)
        if held is not None and not any(held in itertools.islice(names, 4) for names in options):
            self.release(ref)

    def take(self, ref: str, options: Iterator[str]) -> str:
        """Return the name of `ref`; if it holds none, give it the first of its `options` that is free."""
        if ref not in self._held:
            self.seed(ref, next(name for name in options if name.lower() not in self._holders))
        return self._held[ref]


class Allocator:
    """Assigns keys and names, and remembers who holds them.

    Names and keys are compared case-insensitively, as Backstage does.
    """

    def __init__(self) -> None:
        self._keys, self._models, self._servers = _Namespace(), _Namespace(), _Namespace()

    def seed(self, held: Mapping[str, Identity]) -> None:
        """Take over the stored identities by reference; if two hold the same name, the first one keeps it."""
        for ref, identity in sorted(held.items()):
            self._keys.seed(ref, identity.key)
            self._models.seed(ref, identity.model_name)
            if identity.server_name:
                self._servers.seed(ref, identity.server_name)

    def adopt(self, held: Mapping[str, Identity]) -> set[str]:
        """Take over the stored identities by reference, even if others were assigned here; return what changes.

        So several replicas that assigned names independently end with the same ones.
        """
        servers = {ref: identity.server_name for ref, identity in held.items() if identity.server_name}
        return (
            self._keys.adopt({ref: identity.key for ref, identity in held.items()})
            | self._models.adopt({ref: identity.model_name for ref, identity in held.items()})
            | self._servers.adopt(servers)
        )

    def rename(self, former: str, ref: str) -> None:
        """Give the key and names of `former` to `ref`: it is the same document with another reference."""
        for kind in (self._keys, self._models, self._servers):
            kind.rename(former, ref)

    def keep_only(self, refs: Collection[str]) -> None:
        """Release the keys and names of all other references."""
        for kind in (self._keys, self._models, self._servers):
            for ref in kind.holders - set(refs):
                kind.release(ref)

    def release_server(self, ref: str) -> None:
        """Release the name of the server of `ref`, if it holds one."""
        self._servers.release(ref)

    def release(self, ref: str) -> None:
        """Release the key and names of `ref`, if it holds any."""
        for kind in (self._keys, self._models, self._servers):
            kind.release(ref)

    def assign(self, claims: Iterable[Claim]) -> dict[str, Identity]:
        """Return an identity for each claim, by reference.

        A document keeps names that it still wants; of new documents the oldest comes first. The result does not depend
        on the order of the claims.
        """
        ordered = sorted(claims, key=lambda claim: (claim.created, claim.ref))
        for claim in ordered:  # first, so that a name released here can be assigned in the same round
            if claim.lasting or not self._holds(claim.ref):
                continue
            self._keys.release_unwanted(claim.ref, _keys(claim))
            model, server = (_names(name, claim) for name in claim.kept)
            self._models.release_unwanted(claim.ref, _names(claim.model_name, claim), model)
            self._servers.release_unwanted(claim.ref, _names(claim.server_name, claim), server)
        return {claim.ref: self._assign(claim) for claim in ordered}

    def _holds(self, ref: str) -> bool:
        return any(ref in kind for kind in (self._keys, self._models, self._servers))

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
    """Yield the possible keys of a document, the wanted one first."""
    first, second = claim.segments
    return (key_of((first, name)) for name in _names(second, claim))


def _names(name: str | None, claim: Claim) -> Iterator[str]:
    """Yield the possible names of a document without end, the wanted one first; nothing if `name` is empty."""
    ref = claim.ref
    if name:
        yield name
        if claim.cluster:
            yield with_suffix(name, claim.cluster)
        for n in itertools.count():
            yield with_suffix(name, short_hash(f"{ref}#{n}" if n else ref))
