"""Helpers for the command lines of all services; servers and settings are imported by the commands that need them."""

import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from common import __version__

if TYPE_CHECKING:
    from common.http.addresses import Address

T = TypeVar("T")
_BAR_AFTER, _BAR_EVERY = 1.0, 0.1
_BAR_WIDTH = 40
HELP = {"help_option_names": ["-h", "--help"]}
INTERRUPTED = 130
"""The exit status after Ctrl-C, as of programs that the signal ends: 128 + SIGINT."""


class AddressType(click.ParamType["Address"]):
    """An address to listen on: PORT, :PORT, HOST:PORT or [IPV6]:PORT."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> "Address":
        """Return the address, or fail with a usage error."""
        from common.http.addresses import Address, parse_address

        if isinstance(value, Address):
            return value
        try:
            return parse_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class UrlType(click.ParamType[str]):
    """The address of a server, as URL; with `named`, `name=URL` is accepted too."""

    name = "URL"

    def __init__(self, *, named: bool = False) -> None:
        self._named = named

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL, or fail with a usage error."""
        from common.setting_types import is_server_url

        text = str(value).strip()
        url = text.partition("=")[2] if self._named and "=" in text.partition("://")[0] else text
        if not is_server_url(url):
            meant = "" if "://" in url or not url else f": write http://{url} or https://{url}"
            self.fail(f"{text!r} is not a URL{meant}", param, ctx)
        return text


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run the asynchronous work of a command and return its result; only errors are logged, to standard error."""
    import asyncio

    from common import logs

    logs.configure(level="ERROR", format="console")
    return asyncio.run(work)


def print_out(text: str, **style: Any) -> None:
    """Print a text to standard output; a reader that has gone, such as `head`, ends the output and not the command."""
    try:
        click.secho(text, **style)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def service_command(program: str) -> Callable[[Callable[..., None]], click.Command]:
    """Return a decorator that turns a function into the command of a container, with `-h` and `--version`."""

    def make(function: Callable[..., None]) -> click.Command:
        with_version = click.version_option(__version__, prog_name=program)(function)
        return click.command(context_settings=HELP)(with_version)

    return make


def progress_bar(stream: TextIO, *, clock: Callable[[], float] = time.perf_counter) -> Callable[[int, int], None]:
    """Return a function `(done, of)` that draws a progress bar on a terminal, after the first second."""
    began, drawn = clock(), 0.0

    def draw(done: int, of: int) -> None:
        nonlocal drawn
        now = clock()
        if not stream.isatty() or now < began + _BAR_AFTER:
            return
        last = done + 1 >= of
        if last:
            stream.write(f"\r{' ' * (_BAR_WIDTH + 24)}\r")
        elif now >= drawn + _BAR_EVERY:
            drawn = now
            full = _BAR_WIDTH * done // of
            stream.write(f"\r[{'#' * full}{' ' * (_BAR_WIDTH - full)}] {done} of {of} files")
        stream.flush()

    return draw


@contextmanager
def reported(program: str, *faults: type[Exception], service: bool = False) -> Iterator[None]:
    """Catch exceptions of these types, also from tasks: print one line for each and end the process.

    A `service` logs the line, unless standard error is a terminal. The exit status is 2 for a configuration error, as
    for a wrong option, else 1.
    """
    from common.settings import SettingsError

    try:
        yield
    except* faults as group:
        errors = list(_leaves(group))
        for error in errors:
            _report(program, error, logged=service and not sys.stderr.isatty())
        sys.exit(2 if any(isinstance(error, SettingsError) for error in errors) else 1)


def _report(program: str, error: Exception, *, logged: bool) -> None:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:  # without the number that Python writes before it
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if not logged:
        click.echo(f"{program}: {text}", err=True)
        return
    import structlog

    from common import logs

    if not structlog.is_configured():  # the settings of logging are invalid themselves
        logs.configure()
    log = structlog.get_logger(program)
    log.error("service_failed", error=text)


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
