"""What the command lines of all services share; servers and settings are loaded by the commands that need them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from common.http.server import Address


class AddressType(click.ParamType["Address"]):
    """An address to listen at: PORT, :PORT, HOST:PORT or [IPV6]:PORT."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> "Address":
        """Return the address meant."""
        from common.http.server import Address, parse_address

        if isinstance(value, Address):
            return value
        try:
            return parse_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@contextmanager
def reported(program: str, *faults: type[Exception], service: bool = False) -> Iterator[None]:
    """End the process with one line for each fault of these kinds, wherever in a task it arose.

    A `service` logs it, unless somebody sits at a terminal. The status is 2 when the configuration is at fault, as for
    a wrong option, else 1.
    """
    from common.settings import SettingsError

    try:
        yield
    except* faults as group:
        errors = list(_leaves(group))
        for error in errors:
            _tell(program, error, log=service and not sys.stderr.isatty())
        sys.exit(2 if any(isinstance(error, SettingsError) for error in errors) else 1)


def _tell(program: str, error: Exception, *, log: bool) -> None:
    if not log:
        click.echo(f"{program}: {error}", err=True)
        return
    import structlog

    from common import logs

    if not structlog.is_configured():  # the settings that say how are at fault
        logs.configure()
    structlog.get_logger(program).error("cannot run", error=str(error))


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
