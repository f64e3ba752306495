"""Reads the registered models of one MLflow server: two lists at each poll, and the run of each new version.

A version that a list lacks is requested by itself, as with any registry. MLflow deletes versions for good: a version
that it does not know is gone if its registered model still exists, with the same time of creation. A server that has
neither may have lost its database, so the version counts as missing.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from common.http.errors import RemoteError, StatusError
from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.normalize.mlflow_objects import (
    ListedModel,
    Run,
    read_model,
    read_run,
    read_version,
    run_of,
    version_id,
    version_names,
)
from services.normalizer.normalize.registered_version import RegisteredVersion, joined
from services.normalizer.normalize.registry_objects import ModelArtifact, ModelVersion
from services.normalizer.sources.faults import BadAnswer, fault_of, longest_wait
from services.normalizer.sources.http import Remote, ask_for_missing, for_each
from services.normalizer.sources.mlflow_lists import API, MODELS, VERSIONS, ListItems, MlflowLists
from services.normalizer.sources.registry_source import Look

_UNKNOWN = "RESOURCE_DOES_NOT_EXIST"
_SLICE = 200
"""How many versions are processed before other tasks may run."""
_Given = tuple[Any, tuple[str, ...], Run | None, str]
"""The input of a version: its item in the list, its aliases, its run, and the address of the server."""
_Parsed = tuple[ModelVersion, tuple[ModelArtifact, ...]] | Problem | None


class MlflowPoller:
    """Reads one MLflow server and remembers its content from one poll to the next.

    `expected` are ids of versions known from an earlier run: they too are missing only when the server says so.
    """

    def __init__(self, remote: Remote, *, expected: Iterable[str] = ()) -> None:
        self._remote = remote
        self._expected = frozenset(each for each in expected if "/" in each)
        self._lists = MlflowLists()
        self._models: dict[str, ListedModel] = {}
        self._raw: dict[str, Any] = {}
        self._runs: dict[str, tuple[int, Run | None]] = {}
        self._parsed: dict[str, tuple[_Given, _Parsed]] = {}
        self._absent: set[str] = set()
        self._last: Mapping[str, RegisteredVersion] = {}

    def move(self, remote: Remote) -> None:
        """Read from another address from now on, and keep what is known."""
        self._remote = remote

    async def look_up(self, model_id: str, version_id: str) -> Look:
        """Return what is known: labels of deployments never have ids of MLflow."""
        return self._look(self._last, complete=False)

    async def poll(self) -> Look:
        """Read the lists, ask for what they lack, and read the runs of versions that are new or changed."""
        lists = (self._lists.read(self._remote, each) for each in (MODELS, VERSIONS))
        models, versions = await asyncio.gather(*lists)
        errors = [answer.error for answer in (models, versions) if answer.error is not None]
        listed = self._take_versions(versions)
        whole, problems = self._take_models(models)
        deleted: list[str] = []
        if not errors:
            deleted, doubts = await self._account_for(listed, whole)
            errors += doubts
        complete = not errors
        errors += await self._read_runs()
        versions_now, unusable = await self._join()
        return self._look(
            versions_now, deleted=deleted, complete=complete, errors=errors, problems=(*problems, *unusable)
        )

    # --- what the lists say

    def _take_models(self, answer: ListItems) -> tuple[Mapping[str, ListedModel], list[Problem]]:
        """Keep the listed models; return them by id, and the problems of unusable ones."""
        problems = []
        found: dict[str, ListedModel] = {}
        for raw in answer.items:
            model = read_model(raw, registry=self._remote.ref.label)
            if isinstance(model, Problem):
                problems.append(model)
            elif model is not None:
                former = self._models.get(model.model.id)
                found[model.model.id] = former if former is not None and former == model else model
        # A model is kept as long as it has versions, also when it is malformed now, or missing from a list.
        named = {each.rpartition("/")[0] for each in self._raw}
        self._models = {each: model for each, model in self._models.items() if each in named or answer.error} | found
        return found, problems

    def _take_versions(self, answer: ListItems) -> set[str]:
        """Keep the listed versions; return their ids."""
        found = {version_id(*version_names(raw)): raw for raw in answer.items}
        self._raw |= found
        self._absent -= found.keys()
        return set(found)

    # --- what lists lack

    async def _account_for(
        self, listed: set[str], models: Mapping[str, ListedModel]
    ) -> tuple[list[str], list[RemoteError]]:
        """Request every version that complete lists lack, and forget those that the server does not know.

        `listed` are the versions that came, `models` the models. Returns the versions that were deleted, and errors
        that show that the lists are not complete after all.
        """
        missing = (self._raw.keys() | self._expected) - listed - self._absent
        absent, doubts = await ask_for_missing("versions", missing, self._exists)
        for each in absent:
            self._absent.add(each)
            self._raw.pop(each, None)
        return [each for each in absent if self._has_kept_the_model(each, models)], doubts

    async def _exists(self, each: str) -> bool:
        """Return whether the server knows a version.

        Raises:
            RemoteError: it says neither that it does nor that it does not.
        """
        name, _, number = each.rpartition("/")
        name = unquote(name)
        path = f"{API}/model-versions/get"
        try:
            raw = await self._remote.get(path, {"name": name, "version": number})
        except StatusError as error:
            if _is_unknown(error):
                return False
            raise
        if version_names(values.at(raw, "model_version")) != (name, number):
            raise BadAnswer(f"{self._remote.ref.url}{path}: 200 without the version")
        return True

    def _has_kept_the_model(self, each: str, models: Mapping[str, ListedModel]) -> bool:
        """Return whether the model of a version that is gone still exists, with the same time of creation."""
        known = self._last.get(each)
        now = models.get(known.model.id) if known is not None else None
        return known is not None and now is not None and known.model.created == now.model.created

    # --- runs

    async def _read_runs(self) -> list[RemoteError]:
        """Read the runs of new and changed versions; one that was deleted or may not be read counts as none."""
        wanted: dict[str, int] = {}
        for raw in self._raw.values():
            run, updated = run_of(raw)
            if run:
                wanted[run] = max(updated, wanted.get(run, 0))
        self._runs = {run: known for run, known in self._runs.items() if run in wanted}

        async def read(run: str) -> None:
            try:
                found: Run | None = read_run(await self._remote.get(f"{API}/runs/get", {"run_id": run}))
            except StatusError as error:
                if error.status != 403 and not _is_unknown(error):
                    raise
                found = None
            self._runs[run] = wanted[run], found

        due = [run for run, updated in wanted.items() if run not in self._runs or self._runs[run][0] != updated]
        return list((await for_each(due, read)).values())

    # --- what follows

    async def _join(self) -> tuple[Mapping[str, RegisteredVersion], list[Problem]]:
        """Return all versions as they are now, by id, and what is unusable.

        A version whose run was not read has no artifacts, so that its document stays as it is. What did not change is
        not parsed again; others have their turn meanwhile.
        """
        versions: dict[str, RegisteredVersion] = {}
        problems = []
        former, self._parsed = self._parsed, {}
        for number, (each, raw) in enumerate(tuple(self._raw.items()), 1):
            if number % _SLICE == 0:
                await asyncio.sleep(0)
            run, _ = run_of(raw)
            known = self._runs.get(run)
            given = raw, self._aliases(each), known[1] if known else None, self._remote.ref.url
            read = former.get(each)
            found = read[1] if read is not None and read[0] == given else self._parse(*given)
            self._parsed[each] = given, found
            if isinstance(found, Problem):
                problems.append(found)
            elif found is not None and (listed := self._models.get(found[0].registered_model_id)) is not None:
                version, artifacts = found
                was_read = known is not None or not run
                versions[each] = joined(
                    self._remote.ref.id,
                    listed.model,
                    version,
                    artifacts if was_read else None,
                    former=self._last.get(each),
                )
        return versions, problems

    def _aliases(self, each: str) -> tuple[str, ...]:
        model, _, number = each.rpartition("/")
        listed = self._models.get(model)
        return listed.aliases.get(number, ()) if listed else ()

    def _parse(self, raw: Any, aliases: tuple[str, ...], run: Run | None, url: str) -> _Parsed:
        return read_version(raw, aliases=aliases, run=run, url=url, registry=self._remote.ref.label)

    def _look(
        self,
        versions: Mapping[str, RegisteredVersion],
        *,
        deleted: Sequence[str] = (),
        complete: bool,
        errors: Sequence[RemoteError] = (),
        problems: Sequence[Problem] = (),
    ) -> Look:
        self._last = versions
        return Look(
            versions=versions,
            deleted=deleted,
            complete=complete,
            listed=not self._lists.unread,
            fault=fault_of(self._remote.ref, errors[0]) if errors else None,
            problems=tuple(problems),
            retry_after=longest_wait(errors),
        )


def _is_unknown(error: StatusError) -> bool:
    """Return whether MLflow itself says that it has no such object; a proxy's 404 says nothing."""
    return error.status == 404 and _UNKNOWN.encode() in error.body
