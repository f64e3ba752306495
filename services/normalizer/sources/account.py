"""How a source fares, told once when it changes: to the log, to the metrics, and to whoever listens."""

import time
from collections.abc import Callable

import structlog

from services.normalizer.sources.metrics import SourceMetrics
from services.normalizer.sources.refs import Fault, SourceRef, SourceState

log = structlog.get_logger("sources")


class Account:
    """The account of one registry or catalog; `tell` gets each new state."""

    def __init__(
        self,
        *,
        metrics: SourceMetrics,
        tell: Callable[[SourceRef, SourceState], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._tell = tell
        self._now = now
        self._state: SourceState | None = None

    def update(self, ref: SourceRef, fault: Fault | None) -> None:
        """Take the result of an attempt to read it; another fault of the same kind is no news."""
        self._metrics.stale.labels(ref.id).set(0 if fault is None else 1)
        was = self._state
        if was is not None and _kind(was.fault) == _kind(fault):
            return
        since = self._now() if was is None or was.ok or fault is None else was.since
        self._state = SourceState(since=since, fault=fault)
        if fault is not None:
            log.warning(
                f"{ref.label} cannot be read, what it had stays", reason=fault.reason, remedy=fault.remedy, url=ref.url
            )
        else:
            log.info(f"{ref.label} is read" if was is None else f"{ref.label} is read again", url=ref.url)
        self._tell(ref, self._state)


def warn_unverified(ref: SourceRef) -> None:
    """Say that a server's certificate is not checked, which somebody has asked for."""
    if not ref.verify and ref.url.startswith("https"):
        log.warning(
            f"the certificate of {ref.label} is not verified: anybody may answer in its place and take the token",
            url=ref.url,
            remedy="take it out of MODEL_REGISTRY_INSECURE and name its authority in MODEL_REGISTRY_CA_FILE",
        )


def _kind(fault: Fault | None) -> str:
    return fault.kind if fault else ""
