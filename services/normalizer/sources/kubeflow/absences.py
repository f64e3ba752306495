"""What a list lacks is not gone before the registry says so, object by object.

Lists that are cut by offset lose objects when others are deleted between two pages; proxies and half-restored
databases give short lists with a clear conscience. Registries have no request to delete a model, so such questions
are rare.
"""

from typing import Any
from urllib.parse import quote

from common.http.client import RemoteError, StatusError
from services.normalizer.sources.faults import BadAnswer, Inconsistent
from services.normalizer.sources.http import Remote, for_each
from services.normalizer.sources.kubeflow.paging import ListAnswer
from services.normalizer.sources.kubeflow.tables import Row, Table, Tables


class Absences:
    """Tells missing objects of one registry from gone ones. `remote` and `api` are where to ask."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._gone: set[tuple[str, str]] = set()

    def is_gone(self, table: Table[Any], each: str) -> bool:
        """Return whether the registry has said that it has no such object."""
        return (table.path, each) in self._gone

    async def account_for(
        self, remote: Remote, api: str, table: Table[Any], answer: ListAnswer[Row]
    ) -> list[RemoteError]:
        """Ask for everything that a whole list ought to hold and does not, and forget what is gone.

        Returns what speaks against the list.
        """
        listed = {row.id for row in answer.items}
        if self._gone:
            self._gone -= {(table.path, each) for each in listed}
        expected = table.objects.keys() | self._tables.mentioned(table)
        missing = expected - listed
        suspects = sorted(each for each in missing if not self.is_gone(table, each))
        present: list[str] = []
        absent: list[str] = []

        async def ask(each: str) -> None:
            (present if await self._read(remote, api, table, each) else absent).append(each)

        doubts = list((await for_each(suspects, ask)).values())
        doubts += await self._confirm(remote, api, table, absent)
        if present:
            doubts.append(
                Inconsistent(f"the list of {table.path} lacks {len(present)} that exist, such as {present[0]}")
            )
        self._tables.forget(table, {each for each in missing if self.is_gone(table, each)})
        return doubts

    async def ask(self, remote: Remote, api: str, table: Table[Any], each: str) -> None:
        """Read one object into its table, or take note that it is gone.

        Raises:
            RemoteError: when the registry says neither.
        """
        if not await self._read(remote, api, table, each):
            for doubt in await self._confirm(remote, api, table, [each]):
                raise doubt

    async def _confirm(self, remote: Remote, api: str, table: Table[Any], absent: list[str]) -> list[RemoteError]:
        """Take it that objects are gone which were answered with 404, if lists are answered after that.

        A registry whose database is away answers 404 for every object, and 500 for every list.
        """
        if not absent:
            return []
        try:
            await remote.get(f"{api}/{table.path}", {"pageSize": "1"})
        except RemoteError as error:
            return [error]
        self._gone |= {(table.path, each) for each in absent}
        return []

    async def _read(self, remote: Remote, api: str, table: Table[Any], each: str) -> bool:
        """Read one object into its table; return whether the registry has it."""
        path = f"{api}/{table.path}/{quote(each, safe='')}"
        try:
            raw = await remote.get(path)
        except StatusError as error:
            if error.status != 404:
                raise
            return False
        row = table.read(raw)
        if row.id != each:
            raise BadAnswer(f"{remote.ref.url}{path}: 200 without the object")
        table.put([row])
        return True
