"""Looks again at what is in doubt: has sources list again, and asks for single objects that lists lack."""

import asyncio
from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

import structlog

from common.http.errors import RemoteError
from services.normalizer.context import PUBLISH, Context
from services.normalizer.facts import Gone, Ref
from services.normalizer.source import Provable, Source

log = structlog.get_logger("controller")

LOOK_AGAIN = 30.0
"""Seconds between two requests to a source to list again, because something that it lacked is due to leave; and between
two requests for one object that it lacks."""
_LOOK_AGAIN_AT_MOST = 600.0
"""What these seconds grow to while a source lacks suspiciously much."""
PROOFS = 20
"""The number of single objects that are asked for in that time."""


class _Look(NamedTuple):
    """When a source is to list again, the pause after that, and whether something that it lacks is due to leave."""

    at: float
    pause: float
    due: bool


class DoubtChecks:
    """Checks what the ledger has in doubt against the sources, which are given by id."""

    def __init__(self, context: Context, sources: Mapping[str, Source]) -> None:
        self._desired = context.desired
        self._ledger = context.ledger
        self._mirror = context.mirror
        self._queue = context.queue
        self._sources = sources
        self._next_looks: dict[str, _Look] = {}
        self._asked: dict[str, float] = {}
        self._suspicious: frozenset[str] = frozenset()

    def check(self, now: float, group: asyncio.TaskGroup) -> None:
        """Start the checks that are due; requests run in `group`."""
        self._list_again(now)
        self._log_suspicions()
        self._ask_for_objects(now, group)

    def _list_again(self, now: float) -> None:
        """Have sources list again where that decides something: often what is due, less and less what is suspicious.

        A short list may be wrong for a moment, and the watch that follows it never shows what it lacked. While the
        cache is damaged, the feed waits for anything that a source lacks, however little it is.
        """
        overdue = self._ledger.overdue(now)
        doubtful = self._ledger.lacking().keys() if self._mirror.damage else self._ledger.doubtful()
        looks: dict[str, _Look] = {}
        for id_ in overdue | doubtful:
            due = id_ in overdue
            look = self._next_looks.get(id_)
            if look is None or look.due != due:
                look = _Look(now if due else now + LOOK_AGAIN, LOOK_AGAIN, due)
            source = self._sources.get(id_)
            if source is not None and now >= look.at:
                source.relist()
                pause = look.pause if due else min(2 * look.pause, _LOOK_AGAIN_AT_MOST)
                look = _Look(now + look.pause, pause, due)
            looks[id_] = look
        self._next_looks = looks

    def _log_suspicions(self) -> None:
        suspicious = self._ledger.suspicious()
        for source in sorted(suspicious - self._suspicious):
            log.warning(
                "removals_held",
                source=source,
                entries=sum(doubt.source == source for doubt in self._ledger.doubts()),
                remedy="if the models are really gone, wait, or confirm it: connector removals confirm",
            )
        self._suspicious = suspicious

    def _ask_for_objects(self, now: float, group: asyncio.TaskGroup) -> None:
        """Ask for each object that lists lack, where these are so few that the answers can be believed."""
        unproven = self._ledger.unproven()
        self._asked = {ref: at for ref, at in self._asked.items() if ref in unproven}
        in_turn = sorted(unproven.keys(), key=lambda ref: self._asked.get(ref, -inf))
        lately = sum(now < at + LOOK_AGAIN for at in self._asked.values())
        for ref in in_turn[: max(0, PROOFS - lately)]:
            if now >= self._asked.get(ref, -inf) + LOOK_AGAIN and (sources := self._provable(unproven[ref])):
                self._asked[ref] = now
                group.create_task(self._ask(sources, ref))

    def _provable(self, ids: Sequence[str]) -> list[Provable]:
        """Return the sources if each of them can be asked for an object, else none."""
        provable: list[Provable] = []
        for id_ in ids:
            source = self._sources.get(id_)
            if not isinstance(source, Provable):
                return []
            provable.append(source)
        return provable

    async def _ask(self, sources: Sequence[Provable], written: str) -> None:
        """Ask all sources that may have an object for it."""
        try:
            ref = Ref.parse(written)
            gone = ref.is_deployment and all([await source.is_gone(ref) for source in sources])
        except (RemoteError, ValueError) as error:
            log.info("removal_not_proven", object=written, error=str(error))
            return
        if gone and (sources_now := self._ledger.unproven().get(written)):
            self._desired.put(sources_now[0], ref, Gone())
            self._queue.add(PUBLISH)
