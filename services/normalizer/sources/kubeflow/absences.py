"""Objects that a list lacks are requested one by one, and count as gone only when the registry answers 404.

Lists in pages lose objects when others are deleted between two pages, and proxies and half-restored databases answer
with short lists. Registries have no request to delete a model, so this is rare.
"""

from typing import Any
from urllib.parse import quote

from common.http.client import RemoteError, StatusError
from services.normalizer.sources.faults import BadAnswer, Inconsistent
from services.normalizer.sources.http import Remote, for_each
from services.normalizer.sources.kubeflow.paging import ListAnswer
from services.normalizer.sources.kubeflow.tables import Row, Table, Tables


class Absences:
    """Finds out which objects that lists lack are gone. `remote` and `api` are where to ask."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._gone: set[tuple[str, str]] = set()

    def is_gone(self, table: Table[Any], each: str) -> bool:
        """Return whether the registry has said that it has no such object."""
        return (table.path, each) in self._gone

    async def account_for(
        self, remote: Remote, api: str, table: Table[Any], answer: ListAnswer[Row]
    ) -> list[RemoteError]:
        """Ask for everything that a complete list lacks, and forget what is gone.

        Returns the errors that show that the list is not complete after all.
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
        """Read one object into its table, or record that it is gone.

        Raises:
            RemoteError: the registry answers neither with it nor that it is gone.
        """
        if not await self._read(remote, api, table, each):
            for doubt in await self._confirm(remote, api, table, [each]):
                raise doubt

    async def _confirm(self, remote: Remote, api: str, table: Table[Any], absent: list[str]) -> list[RemoteError]:
        """Record objects as gone that were answered with 404, if the registry still answers with lists after that.

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
