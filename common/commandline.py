"""What the command lines of all services share."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from common.http.server import Address, parse_address


class AddressType(click.ParamType[Address]):
    """An address to listen at: PORT, :PORT, HOST:PORT or [IPV6]:PORT."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """Return the address meant."""
        if isinstance(value, Address):
            return value
        try:
            return parse_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@contextmanager
def reported(program: str, *faults: type[Exception]) -> Iterator[None]:
    """End the process with status 1 and one line for each fault of these kinds, wherever in a task it arose."""
    try:
        yield
    except* faults as group:
        for error in _leaves(group):
            click.echo(f"{program}: {error}", err=True)
        sys.exit(1)


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
