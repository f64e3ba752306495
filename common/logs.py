"""Structured logs: JSON lines in the pod, readable lines on a terminal, never a secret."""

import logging
import sys
from typing import Literal

import stamina.instrumentation
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from common.events import EVENTS

Format = Literal["auto", "json", "console"]

_SECRET_KEYS = ("authorization", "token", "password", "secret")


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key in event:
        if any(word in key.lower() for word in _SECRET_KEYS):
            event[key] = "***"
    return event


def _explain(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the meaning of the event's id for people."""
    if meaning := EVENTS.get(event["event"]):
        event.setdefault("message", meaning.meaning)
    return event


def configure(*, level: str = "INFO", format: Format = "auto") -> None:  # noqa: A002 - the setting's name
    """Set up logging for the process: our events and those of the libraries go to standard error in one format."""
    as_json = format == "json" or (format == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
        _explain,
        _redact,
    ]
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    # The sender of a request logs its failure, once; single attempts are not logged.
    stamina.instrumentation.set_on_retry_hooks([])
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
