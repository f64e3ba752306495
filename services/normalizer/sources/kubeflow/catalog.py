"""One model catalog (Kubeflow Model Catalog REST API), asked for cards in rounds."""

from contextlib import AsyncExitStack
from math import inf

import structlog

from common.backoff import Backoff
from common.http.errors import RemoteError, StatusError, TimedOut
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


class Catalog:
    """A catalog with an open connection, and what has come of the current round of requests to it.

    `error`: why it fails as a whole, so that it is not asked again in that round; else `failed` has the models that it
    cannot answer for. `witness` is a model that it answered for: when it answers for that one again, only single models
    fail.
    """

    def __init__(
        self, *, remote: Remote, connection: AsyncExitStack, reporter: FaultReporter, backoff: Backoff
    ) -> None:
        self.remote = remote
        self.connection = connection
        self.retry_at = 0.0
        self.asked_at = -inf
        self.error: RemoteError | None = None
        self.failed: dict[CatalogModel, RemoteError] = {}
        self.witness: CatalogModel | None = None
        self._answered = False
        self._reporter = reporter
        self._backoff = backoff
        self._root = ""

    async def begin(self) -> None:
        """Begin a round: find out the version of the API.

        A catalog that is starting answers 404 to everything, and has none yet.
        """
        for root in (self._root,) if self._root else API_ROOTS:
            try:
                await self.remote.get(f"{root}/sources", {"pageSize": "1"})
            except RemoteError as error:
                self.error = error
                if not isinstance(error, StatusError) or error.status != 404:
                    return
            else:
                self._root, self.error = root, None
                return
        self._root = ""

    async def find(self, model: CatalogModel) -> tuple[str | None, bool]:
        """Return a model's card, None without one, and whether the catalog has answered."""
        if self.error is not None:
            return None, False
        try:
            text = await self._read(model)
        except RemoteError as error:
            self.failed[model] = error
            if not _may_be_about_one(error) or (len(self.failed) >= _MANY and not self._answered):
                self.error = error
            return None, False
        self._answered, self.witness = True, model
        return text, True

    async def conclude(self, *, wanted: int) -> None:
        """Decide whether it fails as a whole if it answered for no model; `wanted` is how many models there are."""
        if not self.failed or self.error is not None or self._answered:
            return
        if self.witness is not None and self.witness not in self.failed:
            try:
                await self._read(self.witness)
            except RemoteError as error:
                self.error = error
        elif len(self.failed) >= min(_FEW, wanted):
            self.error = next(iter(self.failed.values()))

    def settle(self, now: float) -> None:
        """Report the result of the round, which ends."""
        ref, error = self.remote.ref, self.error
        self.error, self.failed, self._answered = None, {}, False
        self._reporter.update(ref, None if error is None else fault_of(ref, error))
        if error is None:
            self._backoff.reset()
            self.asked_at = now
        else:
            self.retry_at = now + self._backoff.next()

    async def _read(self, model: CatalogModel) -> str | None:
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


def _may_be_about_one(error: RemoteError) -> bool:
    """Return whether it may be one model that a catalog cannot answer for, and not the catalog that fails."""
    if isinstance(error, StatusError):
        return error.status >= 500
    return isinstance(error, TimedOut | BadAnswer | TooLarge)
