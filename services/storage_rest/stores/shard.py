"""What is known of one ConfigMap, what it is to become, and what is on the way there. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LIMIT = 1_048_576
"""Bytes of all values together that the API server takes in one ConfigMap (Kubernetes: ConfigMap, `data`)."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of `binaryData`: its bytes, and a digest that is the same for bytes that mean the same."""

    data: bytes = field(repr=False)
    digest: str

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


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A ConfigMap as the API server showed it; `other` are bytes in it that are not in `values`.

    `values` is emptied once it was looked at: somebody keeps observations, and the contents are kept elsewhere.
    """

    name: str
    version: int
    values: dict[str, Value]
    other: int = 0
    described: bool = False
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Patch:
    """What is sent to one ConfigMap at once.

    `create`: it does not exist yet. `describe`: its labels are missing. `mark`: it is to say that the cache is
    complete.
    """

    shard: str
    create: bool
    changes: Mapping[str, Change]
    describe: bool = False
    mark: bool = False

    @property
    def puts(self) -> dict[str, Value]:
        """The values that are set."""
        return {key: value for key, value in self.changes.items() if value is not None}

    @property
    def size(self) -> int:
        """Bytes of values that are sent."""
        return sum(value.size for value in self.puts.values())


class Shard:
    """One ConfigMap: `held` by the API server, `sending` at the moment, `pending` after that."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.exists = False
        self.version = 0
        self.described = False
        self.marked = False
        self.wants_mark = False
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
        return self.sending is None and bool(self.pending or self._needs_words)

    @property
    def _needs_words(self) -> bool:
        return (self.exists and not self.described) or (self.wants_mark and not self.marked)

    def take(self) -> Patch | None:
        """Return what to send now, until `confirm` or `put_back`; None when there is nothing."""
        if not self.has_work:
            return None
        changes = dict(list(self.pending.items())[:1] if self.one_by_one else self.pending)
        for key in changes:
            del self.pending[key]
        self.sending = Patch(
            self.name, not self.exists, changes, not self.described, self.wants_mark and not self.marked
        )
        return self.sending

    def confirm(self, version: int) -> Iterable[str]:
        """Note that what was sent is done; return the keys concerned."""
        patch = self._sent()
        self.exists = True
        self.version = version
        self.described = True
        self.marked = self.marked or patch.mark
        if not self.pending:
            self.one_by_one = False
        for key, value in patch.changes.items():
            self._perhaps.pop(key, None)
            if value is None:
                self.held.pop(key, None)
                self.full = False
            else:
                self.held[key] = Held(value.size, value.digest)
            self._settle(key)
        return patch.changes

    def put_back(self, *, exists: bool | None = None, certain: bool = False) -> Patch:
        """Note that what was sent is not done, or (unless `certain`) not known to be.

        It will be sent again unless something newer is. `exists`: whether the ConfigMap turned out to exist.
        """
        patch = self._sent()
        if exists is not None:
            self.exists, self.described = exists, False
        for key, value in patch.changes.items():
            if value is not None and not certain:
                self._perhaps.setdefault(key, set()).add(value.digest)
            self.plan(key, self.pending.get(key, value))
        return patch

    def observe(self, seen: Observation) -> dict[str, Change]:
        """Take what the API server shows; return what somebody else changed. Not while something is being sent."""
        if seen.version < self.version:
            return {}
        self.exists, self.version, self.other = True, seen.version, seen.other
        self.described, self.marked = seen.described, seen.marked
        foreign: dict[str, Change] = {}
        for key, value in seen.values.items():
            former, ours = self.held.get(key), key in self.pending
            if value.digest in self._perhaps.get(key, ()):
                del self._perhaps[key]
                ours = True
            self.held[key] = Held(value.size, value.digest)
            self._settle(key)
            if (former is None or former.digest != value.digest) and not ours:
                foreign[key] = value
        foreign |= self._forget(self.held.keys() - seen.values.keys())
        seen.values.clear()
        return foreign

    def lose(self) -> dict[str, Change]:
        """Take that it does not exist any more; return the keys that are lost with it."""
        self.exists = self.described = self.marked = self.wants_mark = self.full = False
        self.other = 0
        for key in list(self._perhaps):
            del self._perhaps[key]
            self._settle(key)
        return self._forget(set(self.held))

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
        assert patch is not None  # noqa: S101 - called by whoever took it
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
