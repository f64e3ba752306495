"""Reads one Kubeflow model registry, with as few requests as possible.

A poll asks for five lists. A version's artifacts are fetched when it, or one of them, changed.

Objects that a list lacks are requested one by one, and count as gone only when the registry answers 404: lists in pages
lose objects when others are deleted between two pages, and proxies and half-restored databases answer with short lists.
Registries have no request to delete a model, so this is rare.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from common.http.errors import RemoteError, StatusError
from services.normalizer.normalize.registry_objects import ModelVersion
from services.normalizer.sources.faults import BadAnswer, Inconsistent, fault_of, longest_wait
from services.normalizer.sources.http import Remote, ask_for_missing, for_each
from services.normalizer.sources.kubeflow.artifacts import ListedArtifact
from services.normalizer.sources.kubeflow.paging import Budget, ListAnswer, ListReader, is_id
from services.normalizer.sources.kubeflow.tables import Row, Table, Tables
from services.normalizer.sources.registry_source import Look

API_ROOTS = ("/api/model_registry/v1", "/api/model_registry/v1alpha3")
"""The versions of the API, the newest first: new servers serve both and announce the end of the older one."""
T = TypeVar("T")
Lists = Sequence[tuple[Table[Any], ListAnswer[Row]]]
"""Each table with the list that was read for it."""

_SEARCH_STEP = 4
_SEARCH_LIMIT = 100
"""How many versions are asked in one poll for a new artifact that may belong to any of them."""


class RegistryPoller:
    """Reads one registry and remembers its content from one poll to the next.

    `expected` are ids of versions known from an earlier run: they too are missing only when the registry says so.
    """

    def __init__(self, remote: Remote, *, expected: Iterable[str] = ()) -> None:
        self._remote = remote
        self._lists = ListReader(remote)
        self._tables = Tables(remote.ref.id, name=remote.ref.name or remote.ref.id, expected=expected)
        self._gone: set[tuple[str, str]] = set()
        self._api = ""
        self._unlisted = {table.path for table in self._tables.tables}
        self._broken: set[str] = set()

    def move(self, remote: Remote) -> None:
        """Read from another address from now on, and keep what is known."""
        self._remote = remote
        self._lists = ListReader(remote)
        self._api = ""

    async def poll(self) -> Look:
        """Read what changed."""
        self._lists.budget = Budget()
        try:
            begun = {} if self._api else await self._begin()
        except RemoteError as error:
            return self._look(errors=[error], complete=False)
        lists, artifacts = await self._read_all(begun)
        if self._is_rebuilt(lists):
            # Some lists may be from before that: only lists that are read from now on are consistent.
            self._lists.budget = Budget()
            lists, artifacts = await self._read_all({})
            if again := [answer.error for _, answer in lists if answer.error is not None]:
                return self._look(errors=again, complete=False)
        found = [answer.error for _, answer in lists] + [artifacts.error]
        errors = [error for error in found if error is not None]
        if len(errors) > len(lists) and all(map(_is_absent, errors)):
            self._api = ""  # perhaps this is now a server with another version of the API
        doubts = await self._take(lists)
        complete = not doubts and all(answer.error is None for _, answer in lists)
        self._tables.artifacts.notice(artifacts)
        self._lists.budget = Budget()  # also when lists are too long, artifacts are read
        failures = await self._fetch_due()
        return self._look(errors=[*errors, *doubts, *failures], complete=complete)

    async def _read_all(self, begun: Mapping[str, ListAnswer[Row]]) -> tuple[Lists, ListAnswer[ListedArtifact | None]]:
        """Read all lists but those in `begun`, which were read already, by path."""

        async def read(table: Table[Any]) -> ListAnswer[Row]:
            return begun.get(table.path) or await self._list(table.path, table.read)

        tables = self._tables.tables
        artifacts = self._list("model_artifacts", self._tables.artifacts.read)
        lists, noticed = await asyncio.gather(asyncio.gather(*map(read, tables)), artifacts)
        return tuple(zip(tables, lists, strict=True)), noticed

    def _is_rebuilt(self, lists: Lists) -> bool:
        """Return whether ids belong to other objects than before: the database was rebuilt or restored."""
        return any(table.replaced(answer.items) for table, answer in lists)

    async def look_up(self, model_id: str, version_id: str) -> Look:
        """Read a version that a deployment names and no poll has seen live; three requests at most."""
        tables = self._tables
        if (
            not self._api
            or not (is_id(model_id) and is_id(version_id))
            or tables.is_live(model_id, version_id)
            or (tables.versions.path, version_id) in self._gone
        ):
            return self._look(complete=False)
        self._lists.budget = Budget()
        try:
            for table, each in ((tables.models, model_id), (tables.versions, version_id)):
                await self._look_up_one(table, each)
        except RemoteError as error:
            return self._look(errors=[error], complete=False)
        due = [version for version in tables.artifacts.due(tables.live_versions()) if version.id == version_id]
        return self._look(errors=await self._fetch(due), complete=False)

    async def _begin(self) -> Mapping[str, ListAnswer[Row]]:
        """Find out the version of the API that the server has; return the list that showed it, by path.

        Raises:
            RemoteError: when it speaks none, or does not answer.
        """
        path = self._tables.models.path
        refusals: list[RemoteError] = []
        for root in API_ROOTS:
            answer = await self._lists.read(f"{root}/{path}", self._tables.models.read)
            if answer.error is None or answer.items:
                self._api = root
                return {path: answer}
            if not _is_absent(answer.error):
                raise answer.error
            refusals.append(answer.error)
        raise refusals[0]

    async def _list(self, path: str, convert: Callable[[Any], T]) -> ListAnswer[T]:
        return await self._lists.read(f"{self._api}/{path}", convert)

    async def _take(self, lists: Lists) -> list[RemoteError]:
        """Apply the lists to the tables; return errors that show that a list is not complete after all."""
        doubts: list[RemoteError] = []
        for table, answer in lists:
            if table is self._tables.versions:
                self._tables.artifacts.forget(table.replaced(answer.items))
            table.apply(answer)
        for table, answer in lists:
            if answer.error is None:
                self._unlisted.discard(table.path)
                doubts += await self._account_for(table, answer)
        return doubts

    # --- what lists lack

    async def _account_for(self, table: Table[Any], answer: ListAnswer[Row]) -> list[RemoteError]:
        """Ask for everything that a complete list lacks, and forget what is gone.

        Returns the errors that show that the list is not complete after all.
        """
        listed = {row.id for row in answer.items}
        self._gone -= {gone for gone in self._gone if gone[0] == table.path and gone[1] in listed}
        missing = (table.objects.keys() | self._tables.mentioned(table)) - listed
        suspects = {each for each in missing if (table.path, each) not in self._gone}
        absent, doubts = await ask_for_missing(table.path, suspects, partial(self._read, table))
        doubts += await self._confirm(table, absent)
        self._tables.forget(table, {each for each in missing if (table.path, each) in self._gone})
        return doubts

    async def _look_up_one(self, table: Table[Any], each: str) -> None:
        """Read one object into its table, or record that it is gone.

        Raises:
            RemoteError: the registry answers neither with it nor that it is gone.
        """
        if not await self._read(table, each):
            for doubt in await self._confirm(table, [each]):
                raise doubt

    async def _confirm(self, table: Table[Any], absent: list[str]) -> list[RemoteError]:
        """Record objects as gone that were answered with 404, if the registry still answers with lists after that.

        A registry whose database is away answers 404 for every object, and 500 for every list.
        """
        if not absent:
            return []
        try:
            await self._remote.get(f"{self._api}/{table.path}", {"pageSize": "1"})
        except RemoteError as error:
            return [error]
        self._gone |= {(table.path, each) for each in absent}
        return []

    async def _read(self, table: Table[Any], each: str) -> bool:
        """Read one object into its table; return whether the registry has it."""
        path = f"{self._api}/{table.path}/{quote(each, safe='')}"
        try:
            raw = await self._remote.get(path)
        except StatusError as error:
            if not _is_absent(error):
                raise
            return False
        row = table.read(raw)
        if row.id != each:
            raise BadAnswer(f"{self._remote.ref.url}{path}: 200 without the object")
        table.put([row])
        return True

    # --- artifacts

    async def _fetch_due(self) -> list[RemoteError]:
        """Fetch the artifacts that may have changed; return the errors."""
        artifacts = self._tables.artifacts
        live = self._tables.live_versions()
        # Those that failed the last time come last.
        due = sorted(artifacts.due(live), key=lambda version: version.id in self._broken)
        failures = await self._fetch(due)
        asked = 0
        while not failures and asked < _SEARCH_LIMIT and (some := artifacts.take_candidates(live, limit=_SEARCH_STEP)):
            failures = await self._fetch(some)
            asked += len(some)
        return failures

    async def _fetch(self, versions: Sequence[ModelVersion]) -> list[RemoteError]:
        """Fetch the artifacts of versions; return the errors."""

        async def fetch(version: ModelVersion) -> None:
            answer = await self._list(f"model_versions/{version.id}/artifacts", lambda item: item)
            if answer.error is not None:
                raise _vanished(version) if _is_absent(answer.error) else answer.error
            self._tables.artifacts.record(version, answer.items)

        by_id = {version.id: version for version in versions}
        failed = await for_each(by_id, lambda each: fetch(by_id[each]))
        self._broken = self._broken - by_id.keys() | failed.keys()
        return list(failed.values())

    def _look(self, *, complete: bool, errors: Sequence[RemoteError] = ()) -> Look:
        return Look(
            versions=self._tables.joined(),
            complete=complete,
            listed=not self._unlisted,
            fault=fault_of(self._remote.ref, errors[0]) if errors else None,
            problems=self._tables.problems,
            retry_after=longest_wait(errors),
        )


def _is_absent(error: RemoteError) -> bool:
    return isinstance(error, StatusError) and error.status == 404


def _vanished(version: ModelVersion) -> Inconsistent:
    return Inconsistent(f"model version {version.id} ({version.name}) is listed, and its artifacts are not found")
