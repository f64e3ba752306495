"""The search for models on the status page, with the entities that each reader makes of them."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args
from urllib.parse import quote, urlsplit

from common import identity
from common.annotations import CARD_ANNOTATION
from common.catalog_info import FILE_NAME
from services.location import annotations
from services.location.delivery import Entry
from services.location.rendering import read
from services.location.second_generation import base_path
from services.location.shelf import Shelf
from services.location.status.answer import ModelForm, ModelsStatus, ModelStatus
from services.location.view import View, is_own_card

Show = Literal["all", "deployed", "undeployed", "leaving"]
SHOWS: Final[tuple[Show, ...]] = get_args(Show)
PAGE: Final = 50
"""Models on one page."""
_SLICE: Final = 25
"""Models that are decoded before other requests get their turn."""


@dataclass(frozen=True, slots=True)
class ModelQuery:
    """Which models to show: those that contain all words and have one state, on one page."""

    words: str = ""
    show: Show = "all"
    page: int = 1


@dataclass(frozen=True, slots=True)
class _Line:
    """What is kept of an entry for the search; `haystack` is the text that is searched."""

    entry: Entry
    title: str
    haystack: str
    deployed: bool


class Models:
    """Finds models on the shelf; an entry is decoded when the page is first requested after the entry changed."""

    def __init__(self, shelf: Shelf, *, connector_id: str) -> None:
        self._shelf = shelf
        self._base = base_path(connector_id)
        self._lines: dict[str, _Line] = {}

    async def find(self, wanted: ModelQuery, leaving: Mapping[str, str]) -> ModelsStatus:
        """Return one page of matching models; `leaving` maps keys that will be removed to the reason."""
        lines = await self._all()
        words = wanted.words.casefold().split()
        matching = [
            line
            for line in lines
            if _is_shown(line, wanted.show, leaving) and all(word in line.haystack for word in words)
        ]
        pages = max(1, -(-len(matching) // PAGE))
        page = min(max(1, wanted.page), pages)
        first = (page - 1) * PAGE
        return ModelsStatus(
            total=len(lines),
            deployed=sum(line.deployed for line in lines),
            matching=len(matching),
            page=page,
            pages=pages,
            items=tuple(self._status(line.entry, leaving) for line in matching[first : first + PAGE]),
        )

    async def _all(self) -> list[_Line]:
        """Return a line for each entry, sorted by title; only entries changed since the last call are decoded."""
        entries = self._shelf.entries()
        lines: dict[str, _Line] = {}
        fresh = 0
        for entry in entries:
            line = self._lines.get(entry.key)
            if line is None or line.entry is not entry:
                line = _line(entry)
                fresh += 1
                if fresh % _SLICE == 0:
                    await asyncio.sleep(0)
            lines[entry.key] = line
        self._lines = lines
        return sorted(lines.values(), key=lambda line: (line.title.casefold(), line.entry.key))

    def _status(self, entry: Entry, leaving: Mapping[str, str]) -> ModelStatus:
        document, views = read(entry)
        view = views[0]
        server = view.server
        return ModelStatus(
            key=entry.key,
            title=view.version_title,
            owner=view.owner,
            lifecycle=view.lifecycle,
            tags=view.tags,
            server=server.base_url if server else "",
            called=server.names if server else (),
            token=bool(server and server.token),
            card=_card(document["models"][0], view),
            forms=tuple(self._forms(entry, views, part=document.get("modelServer"))),
            leaving=leaving.get(entry.key, ""),
        )

    def _forms(self, entry: Entry, views: Iterable[View], part: Mapping[str, object] | None) -> Iterator[ModelForm]:
        entities = tuple(_entities(views, part))
        yield ModelForm(reader="first-generation", document=entry.uri, entities=entities)
        server = next(iter(views)).server
        own = (f"aimodelserverapi:default/{server.name}",) if server else ()
        yield ModelForm(
            reader="second-generation", document=f"{self._base}models/{quote(entry.key, safe='')}", entities=own
        )
        plain = entry.uri.removesuffix(identity.DOCUMENT_NAME) + FILE_NAME
        yield ModelForm(reader="plain", document=plain, entities=entities)


def _line(entry: Entry) -> _Line:
    _, views = read(entry)
    view = views[0]
    texts = [entry.key, entry.uri, view.version_title, view.about, view.owner, view.system, view.lifecycle, *view.tags]
    texts += [each.name for each in views]
    texts += [view.details.namespace, view.details.deployment, view.details.registry, view.details.model]
    if view.server:
        texts += [*view.server.names, view.server.url, view.server.name]
    return _Line(entry, view.version_title, "\n".join(texts).casefold(), view.server is not None)


def _is_shown(line: _Line, show: Show, leaving: Mapping[str, str]) -> bool:
    match show:
        case "deployed":
            return line.deployed
        case "undeployed":
            return not line.deployed
        case "leaving":
            return line.entry.key in leaving
    return True


def _entities(views: Iterable[View], part: Mapping[str, object] | None) -> Iterator[str]:
    """Yield the references of the entities that the first-generation and plain readers make of a document."""
    for view in views:
        yield f"resource:default/{view.name}"
    if part:
        name = "".join(str(part["name"]).split())
        yield f"component:default/{name}"
        if part.get("API"):
            yield f"api:default/{name}"


def _card(model: Mapping[str, dict[str, str]], view: View) -> str:
    """Return where the card is: the page that the owner named, or our path."""
    stored = model.get("annotations", {}).get(CARD_ANNOTATION, "")
    if view.techdocs:
        return view.techdocs
    if not view.readme and is_own_card(stored):
        parts = urlsplit(stored)
        return f"{parts.path}?{parts.query}"
    return f"/modelcard?{annotations.card_query(view)}"
