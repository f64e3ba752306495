"""What is known of one ConfigMap, what it is to become, and what is on the way there. No I/O.

Each ConfigMap bears a *mark*, the count and a hash of its keys, that changes with them in one write. A process that
finds other keys than the mark says knows that some are missing. Every write is conditional on the version that was seen
last, so that a mark describes what is there, no matter who else writes.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LIMIT = 1_048_576
"""Bytes of all values together that the API server takes in one ConfigMap (Kubernetes: ConfigMap, `data`)."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of `binaryData`: its bytes, and a digest that is the same for bytes that mean the same.

    `usable` is false when nobody can read it; it does not count for the mark then.
    """

    data: bytes = field(repr=False)
    digest: str
    usable: bool = True

    @property
    def size(self) -> int:
        """How many bytes count towards the limit."""
        return len(self.data)


Change = Value | None
"""What a key becomes; None: it goes."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the API server holds under a key."""

    size: int
    digest: str
    usable: bool = True


def mark_of(keys: Iterable[str]) -> str:
    """Return the mark of a ConfigMap with these keys: how many they are, and 16 hexadecimal digits over them."""
    names = sorted(keys)
    return f"{len(names)}-{hashlib.blake2b(chr(0).join(names).encode(), digest_size=8).hexdigest()}"


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A ConfigMap as the API server showed it; `other` are bytes in it that are not in `values`.

    `described`: it has our labels. `mark` and `shards` (how many ConfigMaps there are, on the first one) are empty
    and 0 where nobody wrote them. `complete`: its family was complete once. `values` is emptied once it was looked at:
    somebody keeps observations, and the contents are kept elsewhere.
    """

    name: str
    version: int
    values: dict[str, Value]
    other: int = 0
    described: bool = False
    mark: str = ""
    shards: int = 0
    complete: bool = False

    @property
    def fits(self) -> bool:
        """Whether it has the keys that its mark says."""
        return self.mark == mark_of(key for key, value in self.values.items() if value.usable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """What is sent to one ConfigMap at once.

    `version` is the one that it must still have, 0 when it does not exist yet. `describe`: its labels are missing.
    `mark`, `shards` and `complete` are what it is to say from now on, where they differ from what it says.
    """

    shard: str
    version: int
    changes: Mapping[str, Change]
    describe: bool = False
    mark: str = ""
    shards: int = 0
    complete: bool = False

    @property
    def create(self) -> bool:
        """Whether it makes the ConfigMap."""
        return not self.version

    @property
    def puts(self) -> dict[str, Value]:
        """The values that are set."""
        return {key: value for key, value in self.changes.items() if value is not None}

    @property
    def size(self) -> int:
        """Bytes of values that are sent."""
        return sum(value.size for value in self.puts.values())


class Shard:
    """One ConfigMap: `held` by the API server, `sending` at the moment, `pending` after that.

    `missing` are keys that somebody else removed and that will be there again, or are removed by ourselves; the mark
    speaks of them too. `due`: it has to exist, also with nothing in it. `unsure`: what it holds must be read before
    anything is sent. `probe`: it must be seen that it can be written, also with nothing to change.
    """

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.version = 0
        self.described = False
        self.mark = ""
        self.marking = True
        self.shards = 0
        self.wants_shards = 0
        self.complete = False
        self.wants_complete = False
        self.missing: set[str] = set()
        self.due = False
        self.probe = False
        self.unsure = False
        self.reading = False
        self._wanted_mark: str | None = None
        self.full = False
        self.one_by_one = False
        self.other = 0
        self.held: dict[str, Held] = {}
        self.sending: Patch | None = None
        self.pending: dict[str, Change] = {}
        self._perhaps: dict[str, set[str]] = {}  # digests that were sent, with an unknown outcome
        self._sizes: dict[str, int] = {}
        self._size = 0

    @property
    def exists(self) -> bool:
        """Whether it is there, as far as is known."""
        return self.version > 0

    @property
    def busy(self) -> bool:
        """Whether a request about it is under way."""
        return self.sending is not None or self.reading

    @property
    def held_size(self) -> int:
        """Bytes that the API server holds now."""
        return self.other + sum(held.size for held in self.held.values())

    @property
    def names(self) -> set[str]:
        """The keys that are in it, or may be."""
        return self.held.keys() | self._perhaps.keys()

    def size_without(self, key: str) -> int:
        """Bytes that it will have when all is written, apart from those of `key`."""
        return self.other + self._size - self._sizes.get(key, 0)

    def is_alone(self, key: str) -> bool:
        """Whether nothing but `key` will be in it."""
        return not self.other and self._sizes.keys() <= {key}

    def concerns(self, key: str) -> bool:
        """Whether `key` is in it, or will be."""
        sending = self.sending.changes.get(key) if self.sending else None
        there = key in self.held or key in self._perhaps
        return there or sending is not None or self.pending.get(key) is not None

    def keeps(self, key: str) -> bool:
        """Whether `key` will be in it, or may be, when all is written."""
        if key in self.pending:
            return self.pending[key] is not None
        if self.sending and key in self.sending.changes:
            return self.sending.changes[key] is not None
        return key in self.names

    def has(self, key: str) -> str | None:
        """Return the digest that `key` has here for certain, with nothing else on the way; None otherwise."""
        sending = self.sending is not None and key in self.sending.changes
        if sending or key in self.pending or key in self._perhaps or key not in self.held:
            return None
        return self.held[key].digest

    def plan(self, key: str, change: Change) -> None:
        """Have `key` become this; nothing is sent when it is on the way already."""
        self.pending.pop(key, None)
        if not self._will_be(key, change):
            self.pending[key] = change
        self._measure(key)

    def _will_be(self, key: str, change: Change) -> bool:
        """Whether `key` becomes this without anything more being sent."""
        if self.sending and key in self.sending.changes:
            coming = self.sending.changes[key]
            return (coming.digest if coming else None) == (change.digest if change else None)
        held = self.held.get(key)
        return key not in self._perhaps and (held.digest if held else None) == (change.digest if change else None)

    def unplan(self, key: str) -> None:
        """Leave `key` as it is, as far as nothing has been sent."""
        self.pending.pop(key, None)
        self._measure(key)

    @property
    def has_work(self) -> bool:
        """Whether something could be sent now."""
        return not self.busy and (self.unsure or self.probe or bool(self.pending) or self._needs_words)

    @property
    def _needs_words(self) -> bool:
        return (
            (self.exists and not self.described)
            or (self.marking and (self.exists or self.due) and self.mark != self.wanted_mark)
            or self.shards < self.wants_shards
            or (self.wants_complete and not self.complete)
        )

    @property
    def wanted_mark(self) -> str:
        """The mark of the keys that are in it."""
        if self._wanted_mark is None:
            self._wanted_mark = self._mark_after({})
        return self._wanted_mark

    def _mark_after(self, changes: Mapping[str, Change]) -> str:
        keys = {key for key, held in self.held.items() if held.usable and key not in changes}
        return mark_of(keys | self.missing | {key for key, value in changes.items() if value is not None})

    def expect(self, keys: Iterable[str]) -> None:
        """Have the mark speak of keys that somebody else removed."""
        self.missing.update(keys)
        self._wanted_mark = None

    def no_longer_expect(self, key: str) -> None:
        """A key is there again, or is to be removed by ourselves."""
        if key in self.missing:
            self.missing.discard(key)
            self._wanted_mark = None

    def take(self) -> Patch | None:
        """Return what to send now, until `confirm` or `put_back`; None when there is nothing."""
        if not self.has_work or self.unsure:
            return None
        changes = dict(list(self.pending.items())[:1] if self.one_by_one else self.pending)
        for key in changes:
            del self.pending[key]
        mark = self._mark_after(changes) if self.marking else ""
        self.sending = Patch(
            shard=self.name,
            version=self.version,
            changes=changes,
            describe=not self.described,
            mark=mark if mark != self.mark else "",
            shards=self.wants_shards if self.shards < self.wants_shards else 0,
            complete=self.wants_complete and not self.complete,
        )
        return self.sending

    def confirm(self, version: int) -> Iterable[str]:
        """Note that what was sent is done; return the keys concerned."""
        patch = self._sent()
        self.probe = False
        self.version = version
        self.described = True
        self.mark = patch.mark or self.mark
        self.shards = patch.shards or self.shards
        self.complete = self.complete or patch.complete
        self._wanted_mark = None
        if not self.pending:
            self.one_by_one = False
        for key, value in patch.changes.items():
            self._perhaps.pop(key, None)
            if value is None:
                self.held.pop(key, None)
                self.full = False
            else:
                self.held[key] = Held(value.size, value.digest)
                self.no_longer_expect(key)
            self._settle(key)
        return patch.changes

    def put_back(self, *, certain: bool = False) -> Patch:
        """Note that what was sent is not done, or (unless `certain`) not known to be.

        It will be sent again unless something newer is.
        """
        patch = self._sent()
        for key, value in patch.changes.items():
            if value is not None and not certain:
                self._perhaps.setdefault(key, set()).add(value.digest)
            self.plan(key, self.pending.get(key, value))
        return patch

    def observe(self, seen: Observation) -> dict[str, Change]:
        """Take what the API server shows; return what somebody else changed. Not while a request is under way.

        What is older than what is known is no news, unless it was read because nobody was sure any more.
        """
        if seen.version < self.version and not self.unsure:
            return {}
        self.unsure = False
        self.version, self.other = seen.version, seen.other
        self.described, self.mark, self.shards, self.complete = seen.described, seen.mark, seen.shards, seen.complete
        self._wanted_mark = None
        foreign: dict[str, Change] = {}
        for key, value in seen.values.items():
            former, ours = self.held.get(key), key in self.pending
            if value.digest in self._perhaps.get(key, ()):
                del self._perhaps[key]
                ours = True
            self.held[key] = Held(value.size, value.digest, value.usable)
            self.no_longer_expect(key)
            self._settle(key)
            if (former is None or former.digest != value.digest) and not ours:
                foreign[key] = value
        deliberate = seen.fits  # a process of ours removed them, with the mark
        removed = self._forget(self.held.keys() - seen.values.keys())
        if not deliberate:
            self.expect(removed)
        seen.values.clear()
        return foreign | removed

    def lose(self) -> dict[str, Change]:
        """Take that it does not exist any more; return the keys that are lost with it."""
        self.version = self.shards = self.other = 0
        self.described = self.complete = self.full = self.unsure = False
        self.mark, self.due = "", True
        for key in list(self._perhaps):
            del self._perhaps[key]
            self._settle(key)
        lost = self._forget(set(self.held))
        self.expect(lost)
        return lost

    def _forget(self, keys: Iterable[str]) -> dict[str, Change]:
        lost: dict[str, Change] = {}
        for key in keys:
            ours = key in self.pending
            del self.held[key]
            self._settle(key)
            if not ours:
                lost[key] = None
        return lost

    def _settle(self, key: str) -> None:
        """Drop what is pending for a key that is so already."""
        if key in self.pending:
            self.plan(key, self.pending[key])
        else:
            self._measure(key)

    def _sent(self) -> Patch:
        patch = self.sending
        assert patch is not None  # noqa: S101 - the caller has taken it
        self.sending = None
        return patch

    def _measure(self, key: str) -> None:
        if key in self.pending:
            change = self.pending[key]
        elif self.sending and key in self.sending.changes:
            change = self.sending.changes[key]
        else:
            held = self.held.get(key)
            self._resize(key, held.size if held else None)
            return
        self._resize(key, change.size if change else None)

    def _resize(self, key: str, size: int | None) -> None:
        self._size -= self._sizes.pop(key, 0)
        if size is not None:
            self._sizes[key] = size
            self._size += size
