"""Structured logs: JSON lines in the pod, readable lines on a terminal, never with secrets."""

import logging
import sys
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Literal

import stamina.instrumentation
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from common.events import EVENTS
from common.status import SettingStatus

Format = Literal["auto", "json", "console"]

_SECRET_KEYS = ("authorization", "token", "password", "secret")


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key in event:
        if any(word in key.lower() for word in _SECRET_KEYS):
            event[key] = "***"
    return event


def _explain(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the meaning of the event's id as `message`."""
    if meaning := EVENTS.get(event["event"]):
        event.setdefault("message", meaning.meaning)
    return event


def configure(*, level: str = "INFO", format: Format = "auto") -> bool:  # noqa: A002 - the setting's name
    """Set up logging for the process and return whether its lines are JSON.

    Our events, log lines of libraries, warnings and uncaught exceptions go to standard error in the same format, so
    that every line of a pod's log is JSON.
    """
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
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                sort_keys=False,  # callers write first what is read first
                exception_formatter=structlog.dev.plain_traceback,
            )
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
    # The sender of a request logs its failure once; single attempts are not logged.
    stamina.instrumentation.set_on_retry_hooks([])
    if as_json:
        _log_what_python_would_print()
    structlog.configure(
        # The level is checked first, so that a line below it costs almost nothing.
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return as_json


def log_start(
    service: str, version: str, *, addresses: Iterable[object], settings: Iterable[SettingStatus], **facts: Any
) -> None:
    """Log that a service has started: where it listens, `facts` about its work, and settings other than defaults."""
    given: Mapping[str, str] = {setting.name: setting.value for setting in settings if not setting.default}
    log = structlog.get_logger(service)
    log.info("started", version=version, addresses=sorted(map(str, addresses)), **facts, settings=given)


def _log_what_python_would_print() -> None:
    """Log uncaught exceptions as one line, instead of the traceback that Python would print."""
    log = structlog.get_logger("python")

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log.critical("exception_uncaught", exc_info=(kind, error, trace))

    def unraisable(what: "sys.UnraisableHookArgs") -> None:
        exception = (what.exc_type, what.exc_value, what.exc_traceback)
        log.error("exception_ignored", object=repr(what.object), exc_info=exception)

    def in_thread(what: threading.ExceptHookArgs) -> None:
        exception = (what.exc_type, what.exc_value, what.exc_traceback)
        log.error("exception_ended_thread", thread=getattr(what.thread, "name", ""), exc_info=exception)

    sys.excepthook = uncaught
    sys.unraisablehook = unraisable
    threading.excepthook = in_thread
