"""The messages between the services, and what they consist of; as plain dataclasses."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from common import strict_json

Reconciler = Literal["kserve", "kubeflow"]
"""The kind of source that a document comes from, in the original's terms."""
RECONCILERS: tuple[Reconciler, ...] = ("kserve", "kubeflow")


_LONGEST_COUNT = 18
"""Most digits of a count: storage never reaches longer ones, and parsing them takes time."""

REVISION_HEADER: Final = "X-Connector-Revision"
"""The header of a push that says which revision of storage it belongs to."""

WireError = strict_json.JsonError
"""A message is invalid; the text says why."""


OWN_FIELDS = {
    "uri": "uri",
    "source": "source",
    "ref": "ref",
    "modelName": "model_name",
    "serverName": "server_name",
    "serverRef": "server_ref",
    "origin": "origin",
    "modelCardKey": "card_key",
}
"""Our additional fields: their names in JSON, and here. Empty ones are not written."""
LATER_FIELDS = ("server_ref", "origin")
"""The fields that did not exist in the first version of the connector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """The mark of an entry that will be removed unless its source lists it again: since when, and why.

    `since` is in seconds since the epoch (in JSON: RFC 3339, UTC); `reason` is an identifier such as `not-listed`.
    `refused`: an administrator wants to keep the entry until its source lists it again.
    """

    since: int
    reason: str
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An entry in a listing, without its document; `digest` does not depend on `leaving`."""

    digest: str
    reconciler: Reconciler
    uri: str = ""
    source: str = ""
    ref: str = ""
    model_name: str = ""
    server_name: str = ""
    server_ref: str = ""
    origin: str = ""
    card_key: str = ""
    leaving: Leaving | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsert:
    """A document to store, and everything that is stored with it.

    `body` is the document (JSON, UTF-8). `uri` is empty if the sender knows only the key. `source` and `ref` name where
    it comes from (`registry:ns/name`, `registry:ns/name:12:34`); `updated` is the source's time of change in
    milliseconds since the epoch. `model_name` and `server_name` are the entity names in the document, stored so that
    the sender finds them after a restart. `server_ref` is the reference of the object that is shown as the server in
    this document. `origin` identifies a registered version, even if its registry is renamed. `card` is the Markdown of
    the card `card_key`, None if it is not part of this message. `details` are encoded by `common.details`, and kept as
    bytes because thousands are in memory until one is rendered. `leaving` is the mark of an entry that may be removed.
    `digest` is 32 hexadecimal digits of a hash over everything except the card's text and that mark.
    """

    key: str
    body: bytes
    reconciler: Reconciler
    uri: str = ""
    source: str = ""
    ref: str = ""
    updated: str = ""
    model_name: str = ""
    server_name: str = ""
    server_ref: str = ""
    origin: str = ""
    card_key: str = ""
    card: str | None = None
    leaving: Leaving | None = None
    details: bytes = b""
    digest: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ours = (getattr(self, attribute) for attribute in OWN_FIELDS.values() if attribute not in LATER_FIELDS)
        texts = "\0".join((self.key, self.reconciler, self.updated, *ours)).encode()
        # Fields of later versions count only if they are set, so that the digests of stored entries do not change.
        later = (getattr(self, attribute).encode() for attribute in LATER_FIELDS)
        content = b"\0".join(filter(None, (texts, self.body, self.details, *later)))
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        object.__setattr__(self, "digest", digest)  # computed once: each round of the normalizer compares it

    @property
    def stored(self) -> Stored:
        """The entry of this document in a listing."""
        ours = {attribute: getattr(self, attribute) for attribute in OWN_FIELDS.values()}
        return Stored(digest=self.digest, reconciler=self.reconciler, leaving=self.leaving, **ours)


def parse_revision(revision: str) -> tuple[str, int] | None:
    """Return the storage process and the count in a revision; None if it is not a revision."""
    process, _, count = revision.rpartition("-")
    if not process or not (count.isascii() and count.isdigit()) or len(count) > _LONGEST_COUNT:
        return None
    return process, int(count)


def card_digest(text: str) -> str:
    """Return 32 hexadecimal digits of a hash over the text of a card."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A source that the feed waits for, and why it has not been read.

    `until` is in seconds since the epoch (in JSON: RFC 3339, UTC): then the feed is served without it. None: the feed
    waits until the source has been read.
    """

    source: str
    reason: str = ""
    until: int | None = None

    def __str__(self) -> str:
        end = "until it is read" if self.until is None else f"until {strict_json.timestamp(self.until)} at the latest"
        return f"{self.source} {end}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Changes that are applied together: first upserts, then marks, then removals.

    `removals` maps keys to reasons. `leaving` sets the marks of stored entries, None clears one; an upsert contains its
    own. `complete`: the stored entries may be served as complete. `confirmed`: in addition, each source was listed
    completely since the sender's start, so everything that is not stored is gone. `awaited` are the sources that the
    feed still waits for; None: this batch does not change them.
    """

    upserts: tuple[Upsert, ...] = ()
    leaving: Mapping[str, Leaving | None] = field(default_factory=dict)
    removals: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False
    confirmed: bool = False
    awaited: tuple[Awaited, ...] | None = None

    @property
    def changes_entries(self) -> bool:
        """Whether it changes documents, marks or cards, and not only the flags."""
        return bool(self.upserts or self.leaving or self.removals or self.cards)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """Storage's answer to a batch.

    `revision` is its revision after the batch, `base` the one before: a reader that knew everything at `base` knows
    everything at `revision`. `refused` maps keys that were not accepted to the reason.
    """

    revision: str
    base: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheListing:
    """The digests of everything in storage; `cards` maps card keys to digests.

    `confirmed`: a normalizer has confirmed it since this storage process started. `damage` says what is missing from
    the cache that was loaded (empty: nothing); only a confirmation makes a damaged cache complete. `awaited` comes from
    the last batch; None: this storage does not know it.
    """

    revision: str
    complete: bool
    entries: Mapping[str, Stored]
    cards: Mapping[str, str]
    confirmed: bool = False
    damage: str = ""
    awaited: tuple[Awaited, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What has changed in storage since a revision, or everything (a snapshot).

    `removals` maps keys to reasons; `complete`, `confirmed` and `damage` are as in `CacheListing`. `awaited` are the
    sources that the feed waits for, as far as a normalizer has reported them.
    """

    revision: str
    complete: bool
    confirmed: bool = False
    damage: str = ""
    awaited: tuple[Awaited, ...] = ()
    upserts: tuple[Upsert, ...] = ()
    removals: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, str] = field(default_factory=dict)
    card_removals: tuple[str, ...] = ()


def without_card(upsert: Upsert) -> Upsert:
    """Return the upsert without the text of its card, which is stored and compared separately."""
    return upsert if upsert.card is None else replace(upsert, card=None)
