"""The state of one ConfigMap: what it contains, what is being sent, and what is still to be sent. No I/O.

Each ConfigMap has a *mark*: the number and a hash of its keys, written together with them. A process that finds other
keys than the mark describes knows that keys are missing. Every write is conditional on the version that was seen last,
so a mark always describes the keys of its ConfigMap, no matter who else writes.
"""

from collections.abc import Iterable, Mapping

from services.storage_rest.stores.objects import Change, HeldValue, Observation, Patch, Value, mark_of


class Shard:
    """One ConfigMap: `held` are its values at the API server, `sending` is under way, `pending` comes after that.

    `missing` are keys that another program removed: they are still part of the mark, until they are written again or
    removed by us. `due`: it must exist, even if it is empty. `unsure`: it must be read before anything is sent.
    `probe`: a write must be tried, even if nothing has changed, to see whether it is allowed.
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
        self.held: dict[str, HeldValue] = {}
        self.sending: Patch | None = None
        self.pending: dict[str, Change] = {}
        self._perhaps: dict[str, set[str]] = {}  # digests that were sent, with an unknown outcome
        self._sizes: dict[str, int] = {}
        self._size = 0

    @property
    def exists(self) -> bool:
        """Whether it exists, as far as is known."""
        return self.version > 0

    @property
    def busy(self) -> bool:
        """Whether a request for it is under way."""
        return self.sending is not None or self.reading

    @property
    def held_size(self) -> int:
        """Bytes of its values at the API server."""
        return self.other + sum(held.size for held in self.held.values())

    @property
    def keys(self) -> set[str]:
        """The keys that it contains, or may contain."""
        return self.held.keys() | self._perhaps.keys()

    def size_without(self, key: str) -> int:
        """Return its bytes when everything is written, without those of `key`."""
        return self.other + self._size - self._sizes.get(key, 0)

    def is_alone(self, key: str) -> bool:
        """Return whether it will contain nothing but `key`."""
        return not self.other and self._sizes.keys() <= {key}

    def concerns(self, key: str) -> bool:
        """Return whether it contains `key`, or will."""
        sending = self.sending.changes.get(key) if self.sending else None
        there = key in self.held or key in self._perhaps
        return there or sending is not None or self.pending.get(key) is not None

    def keeps(self, key: str) -> bool:
        """Return whether it will, or may, contain `key` when everything is written."""
        planned = key in self.pending or self._is_sent(key)
        return self._coming(key) is not None or (not planned and key in self._perhaps)

    def has(self, key: str) -> str | None:
        """Return the digest of `key` if it is certain and nothing is being sent for it, else None."""
        if self._is_sent(key) or key in self.pending or key in self._perhaps or key not in self.held:
            return None
        return self.held[key].digest

    def recall(self, key: str, data: bytes) -> Value | None:
        """Return the value that these bytes of `key` are, without decoding them, if it had the same bytes before."""
        held = self.held.get(key)
        if held is None or (held.size, held.fingerprint) != (len(data), hash(data)):
            return None
        return Value(data, held.digest, held.usable)

    def plan(self, key: str, change: Change) -> None:
        """Plan a change of `key`; nothing is sent if that change is already made or under way."""
        self.pending.pop(key, None)
        if not self._will_be(key, change):
            self.pending[key] = change
        self._measure(key)

    def _will_be(self, key: str, change: Change) -> bool:
        """Return whether `key` has, or is getting, this value without another write."""
        if key in self._perhaps and not self._is_sent(key):
            return False
        coming = self._coming(key)
        return (coming.digest if coming else None) == (change.digest if change else None)

    def _is_sent(self, key: str) -> bool:
        return self.sending is not None and key in self.sending.changes

    def _coming(self, key: str) -> Value | HeldValue | None:
        """Return what `key` has when everything is written, as far as is known."""
        if key in self.pending:
            return self.pending[key]
        if self.sending and key in self.sending.changes:
            return self.sending.changes[key]
        return self.held.get(key)

    def unplan(self, key: str) -> None:
        """Cancel the pending change of `key`."""
        self.pending.pop(key, None)
        self._measure(key)

    @property
    def has_work(self) -> bool:
        """Whether something can be sent now."""
        return not self.busy and (self.unsure or self.probe or bool(self.pending) or self._needs_metadata)

    @property
    def _needs_metadata(self) -> bool:
        return (
            (self.exists and not self.described)
            or (self.marking and (self.exists or self.due) and self.mark != self.wanted_mark)
            or self.shards < self.wants_shards
            or (self.wants_complete and not self.complete)
        )

    @property
    def wanted_mark(self) -> str:
        """The mark for its keys."""
        if self._wanted_mark is None:
            self._wanted_mark = self._mark_after({})
        return self._wanted_mark

    def _mark_after(self, changes: Mapping[str, Change]) -> str:
        keys = {key for key, held in self.held.items() if held.usable and key not in changes}
        return mark_of(keys | self.missing | {key for key, value in changes.items() if value is not None})

    def expect(self, keys: Iterable[str]) -> None:
        """Keep keys in the mark that another program removed."""
        self.missing.update(keys)
        self._wanted_mark = None

    def no_longer_expect(self, key: str) -> None:
        """Take a key out of `missing`: it exists again, or is removed by us."""
        if key in self.missing:
            self.missing.discard(key)
            self._wanted_mark = None

    def take(self) -> Patch | None:
        """Return the patch to send now, None if there is nothing; `confirm` or `put_back` must follow."""
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
        """Record that the patch was written; return its keys."""
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
                self.held[key] = HeldValue.of(value)
                self.no_longer_expect(key)
            self._settle(key)
        return patch.changes

    def put_back(self, *, certain: bool = False) -> Patch:
        """Record that the patch was not written; unless `certain`, it may have been written all the same.

        It is sent again, unless newer values are pending.
        """
        patch = self._sent()
        for key, value in patch.changes.items():
            if value is not None and not certain:
                self._perhaps.setdefault(key, set()).add(value.digest)
            self.plan(key, self.pending.get(key, value))
        return patch

    def observe(self, seen: Observation) -> dict[str, Change]:
        """Process an observation, but not while a request is under way; return what other processes changed.

        An observation older than the known version is ignored, unless the ConfigMap was read because it was `unsure`.
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
            held = HeldValue.of(value)
            if former == held and not ours and key not in self._perhaps:
                continue
            if value.digest in self._perhaps.get(key, ()):
                del self._perhaps[key]
                ours = True
            self.held[key] = held
            self.no_longer_expect(key)
            self._settle(key)
            if (former is None or former.digest != value.digest) and not ours:
                foreign[key] = value
        deliberate = seen.fits  # another replica removed the keys, and updated the mark
        removed = self._forget(self.held.keys() - seen.values.keys())
        if not deliberate:
            self.expect(removed)
        seen.values.clear()
        return foreign | removed

    def lose(self) -> dict[str, Change]:
        """Record that it does not exist any more; return the keys that are lost with it."""
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
        """Drop the pending change of a key if it is already made."""
        if key in self.pending:
            self.plan(key, self.pending[key])
        else:
            self._measure(key)

    def _sent(self) -> Patch:
        patch = self.sending
        assert patch is not None  # noqa: S101 - the caller has called `take`
        self.sending = None
        return patch

    def _measure(self, key: str) -> None:
        self._size -= self._sizes.pop(key, 0)
        if (coming := self._coming(key)) is not None:
            self._sizes[key] = coming.size
            self._size += coming.size
