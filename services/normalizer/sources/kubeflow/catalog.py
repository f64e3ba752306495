"""One model catalog (Kubeflow Model Catalog REST API), and one round of asking several of them for cards."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from math import inf
from typing import NamedTuple

import structlog

from common.backoff import Backoff
from common.http.client import RemoteError, StatusError, TimedOut
from services.normalizer.normalize import values
from services.normalizer.normalize.cards import CARD_LIMIT, CatalogModel, is_too_large, shorten
from services.normalizer.sources.faults import BadAnswer, TooLarge, fault_of
from services.normalizer.sources.http import FaultReporter, Remote

log = structlog.get_logger("sources")

API_ROOTS = ("/api/model_catalog/v1", "/api/model_catalog/v1alpha1")
"""The versions of the API, the newest first; catalogs of 2026 have the second only."""
_FEW = 3
"""When a catalog fails for this many models and answers for none, it counts as failing as a whole."""
_MANY = 12
"""After this many failures in one round without an answer, the other models are not asked for."""


class CardRefusal(NamedTuple):
    """Why a catalog, by its label, cannot answer for one model while it answers for others."""

    label: str
    error: RemoteError


class Catalog:
    """A catalog with an open connection.

    `witness` is a model that it answered for: when it answers for that one again, only single models fail.
    """

    def __init__(
        self, *, remote: Remote, connection: AsyncExitStack, reporter: FaultReporter, backoff: Backoff
    ) -> None:
        self.remote = remote
        self.connection = connection
        self.retry_at = 0.0
        self.asked_at = -inf
        self.witness: CatalogModel | None = None
        self._reporter = reporter
        self._backoff = backoff
        self._root = ""

    def settle(self, error: RemoteError | None, now: float) -> None:
        """Record the result of a round of requests."""
        ref = self.remote.ref
        self._reporter.update(ref, None if error is None else fault_of(ref, error))
        if error is None:
            self._backoff.reset()
            self.asked_at = now
        else:
            self.retry_at = now + self._backoff.next()

    async def begin(self) -> None:
        """Find out the version of the API; a catalog that is starting answers 404 to everything, and has none yet.

        Raises:
            RemoteError: it speaks none, or does not answer.
        """
        refusal: RemoteError | None = None
        for root in (self._root,) if self._root else API_ROOTS:
            try:
                await self.remote.get(f"{root}/sources", {"pageSize": "1"})
            except StatusError as error:
                if error.status != 404:
                    raise
                refusal = error
                continue
            self._root = root
            return
        self._root = ""
        if refusal is not None:
            raise refusal

    async def card(self, model: CatalogModel) -> str | None:
        """Return a model's card, None when the catalog has none.

        Raises:
            RemoteError: it cannot be read.
        """
        path = f"{self._root}{model.path}"
        try:
            answer = await self.remote.get(path)
        except StatusError as error:
            if error.status in (400, 404, 414, 422):  # a name that it does not have, or cannot have
                return None
            raise
        if not isinstance(answer, dict) or "name" not in answer:
            raise BadAnswer(f"{self.remote.ref.url}{path}: 200 without a model")
        readme = values.block(answer.get("readme"))
        if is_too_large(readme):
            log.warning(
                "card_too_long",
                source=self.remote.ref.label,
                limit=CARD_LIMIT,
                object=f"model {model.name} of source {model.source}",
                remedy="shorten its readme in the catalog",
            )
        return shorten(readme) or None


class Inquiry:
    """One round of requests to the catalogs, in their order; None stands for one that is paused after a failure.

    A catalog that fails as a whole is not asked again in the same round; `errors` has its error, by its id.
    """

    def __init__(self, catalogs: Sequence[Catalog | None]) -> None:
        self._catalogs = catalogs
        self._answered: Counter[str] = Counter()
        self._failed: defaultdict[str, dict[CatalogModel, RemoteError]] = defaultdict(dict)
        self.errors: dict[str, RemoteError] = {}

    async def begin(self) -> None:
        """Find out which catalogs answer at all."""
        for catalog in self._catalogs:
            if catalog is not None:
                try:
                    await catalog.begin()
                except RemoteError as error:
                    self.errors[catalog.remote.ref.id] = error

    async def find(self, model: CatalogModel) -> tuple[str | None, bool]:
        """Return the card of the first catalog that has it, and whether all before that one were asked."""
        sure = True
        for catalog in self._catalogs:
            if catalog is None or catalog.remote.ref.id in self.errors:
                sure = False
                continue
            try:
                text = await catalog.card(model)
            except RemoteError as error:
                self._fails(catalog.remote.ref.id, model, error)
                sure = False
                continue
            self._answered[catalog.remote.ref.id] += 1
            catalog.witness = model
            if text is not None:
                return text, sure
        return None, sure

    def _fails(self, catalog: str, model: CatalogModel, error: RemoteError) -> None:
        failed = self._failed[catalog]
        failed[model] = error
        if not _may_be_about_one(error) or (len(failed) >= _MANY and not self._answered[catalog]):
            self.errors[catalog] = error

    async def conclude(self, *, wanted: int) -> None:
        """Decide whether catalogs that answered for no model in this round fail as a whole.

        `wanted` is how many models there are.
        """
        for catalog in self._catalogs:
            id_ = catalog.remote.ref.id if catalog is not None else ""
            failed = self._failed.get(id_)
            if catalog is None or not failed or id_ in self.errors or self._answered[id_]:
                continue
            if catalog.witness is None or catalog.witness in failed:
                if len(failed) >= min(_FEW, wanted):
                    self.errors[id_] = next(iter(failed.values()))
                continue
            try:
                await catalog.card(catalog.witness)
            except RemoteError as error:
                self.errors[id_] = error

    def refusal(self, model: CatalogModel) -> CardRefusal | None:
        """Return why a catalog that answers for other models did not for this one."""
        for catalog in self._catalogs:
            id_ = catalog.remote.ref.id if catalog is not None else ""
            error = None if id_ in self.errors else self._failed.get(id_, {}).get(model)
            if catalog is not None and error is not None:
                return CardRefusal(catalog.remote.ref.label, error)
        return None


def _may_be_about_one(error: RemoteError) -> bool:
    """Return whether it may be one model that a catalog cannot answer for, and not the catalog that fails."""
    if isinstance(error, StatusError):
        return error.status >= 500
    return isinstance(error, TimedOut | BadAnswer | TooLarge)
