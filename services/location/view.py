"""One model version with everything that a reader may show: title, owner, links, its server. No I/O.

A view is computed from the stored document and its details. All feeds render the same view; they differ only in what
their reader displays. A document without details (written by the original connector or an earlier version) has a view
too, with the facts found in the document alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from common import backstage
from common.annotations import CARD_ANNOTATION
from common.details import DetailLink, Details
from services.location.servers import Server, read_server, text_of

SECOND_CARD_ANNOTATION = "techdocs"
LOCATION_ANNOTATION = "rhdh.modelcatalog.io/artifact-location"
"""Where the model's files are, if a browser cannot open the address."""

_NUMBERS = re.compile(r"[vV]?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?((?:-[0-9A-Za-z.-]+)?)\Z")
_SPDX_PAGE = re.compile(r"https?://spdx\.org/licenses/([^/]+?)(?:\.html)?\Z")
_OWN_CARD = "/modelcard"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A model version; a text is empty if the fact is unknown."""

    key: str
    name: str
    """The entity name of the model."""
    title: str
    """The display name; never empty."""
    has_title: bool
    about: str
    owner: str
    """An entity reference."""
    system: str
    lifecycle: str
    tags: tuple[str, ...]
    links: tuple[DetailLink, ...]
    page: str
    """The page about the model or its deployment: the link "View source" in Backstage."""
    homepage: str
    techdocs: str
    """The address of documentation that the owner named; empty if ours is shown."""
    readme: str
    """The address of a single Markdown file that the owner named as documentation."""
    files: str
    """Where the model's files are, as text or as a URL that a browser cannot open."""
    usage: str
    ethics: str
    support: str
    training: str
    api_entity: str
    details: Details
    server: Server | None

    @property
    def version_title(self) -> str:
        """The title followed by the version, unless the title ends in it already."""
        version = self.details.version
        if not version or self.title.endswith(version) or not self.has_title:
            return self.title
        return f"{self.title} {version}"

    @property
    def semantic_version(self) -> str:
        """The version as three numbers (semver.org): `1.0` as `1.0.0`; empty if it does not consist of numbers."""
        numbers = _NUMBERS.match(self.details.version)
        if numbers is None:
            return ""
        major, minor, patch, rest = numbers.groups()
        return f"{int(major)}.{int(minor or 0)}.{int(patch or 0)}{rest}"


def views_of(document: Mapping[str, Any], details: Details, *, key: str) -> tuple[View, ...]:
    """Return the view of each model in a document; they share the document's server."""
    part = document.get("modelServer")
    return tuple(_view(model, part, details, key) for model in document["models"])


def tags_of(part: Mapping[str, Any], *others: str) -> list[str]:
    """Return the tags of a model, server or API that are valid in Backstage, and `others`, without duplicates."""
    tags = (re.sub(r"\s+", "", tag) for tag in part.get("tags", ()))
    return list(dict.fromkeys(tag for tag in (*tags, *others) if backstage.is_tag(tag)))


def is_own_card(url: str) -> bool:
    """Return whether `url` is the address of a card that location serves, on any host."""
    try:
        return urlsplit(url).path == _OWN_CARD
    except ValueError:
        return False


def opens(url: str) -> bool:
    """Return whether a browser can open `url`."""
    return url.lower().startswith(("http://", "https://")) and backstage.is_link(url)


def _is_markdown_file(url: str) -> bool:
    """Return whether an address is a single Markdown file (TechDocs can read only folders)."""
    return urlsplit(url).path.lower().endswith((".md", ".markdown"))


def _view(model: Mapping[str, Any], part: Mapping[str, Any] | None, details: Details, key: str) -> View:
    annotations = model.get("annotations", {})
    server = read_server(model, part, details) if part else None
    links = _links(model, part, details)
    homepage = text_of(part, "homepageURL")
    page = _page(details, homepage)
    own = part.get("annotations", {}) if part else {}
    techdocs = annotations.get(CARD_ANNOTATION) or annotations.get(SECOND_CARD_ANNOTATION) or ""
    readme = techdocs if opens(techdocs) and _is_markdown_file(techdocs) else ""
    location = text_of(model, "artifactLocationURL")
    return View(
        key=key,
        name=re.sub(r"\s+", "", model["name"]),
        title=details.title or model["name"],
        has_title=bool(details.title),
        about=text_of(model, "description") or text_of(part, "description"),
        owner=details.owner or f"user:{text_of(model, 'owner') or 'unknown'}",
        system=details.system or own.get("rhdh.io/system") or annotations.get("rhdh.io/system") or "",
        lifecycle=text_of(part, "lifecycle") or text_of(model, "lifecycle"),
        tags=_tags(details, server),
        links=links,
        page=page,
        homepage=homepage or page,
        techdocs="" if readme or is_own_card(techdocs) or techdocs.startswith(_OWN_CARD) else techdocs,
        readme=readme,
        files=details.location or ("" if opens(location) else location),
        usage=text_of(model, "usage") or text_of(part, "usage"),
        ethics=text_of(model, "ethics"),
        support=text_of(model, "support"),
        training=text_of(model, "training"),
        api_entity=details.api_entity or own.get("rhdh.io/api-entity-ref") or "",
        details=details,
        server=server,
    )


def _tags(details: Details, server: Server | None) -> tuple[str, ...]:
    """Return tags to search the catalog by: tasks, provider, licence, protocol, embeddings."""
    written = [*details.tasks, details.provider, details.license, *details.tags]
    if server:
        written += [server.server_type, "embeddings" if server.embeds else ""]
    return tuple(dict.fromkeys(tag for text in written if (tag := backstage.tag(text))))


def _links(model: Mapping[str, Any], part: Mapping[str, Any] | None, details: Details) -> tuple[DetailLink, ...]:
    license_page = text_of(model, "license")
    links = [
        *details.links,
        DetailLink(text_of(model, "howToUseURL"), "How to use", "help"),
        DetailLink(license_page, f"License: {_license_name(license_page, details)}".removesuffix(": "), "docs"),
        DetailLink(text_of(part, "homepageURL"), "Homepage", "web"),
        DetailLink(text_of(model, "artifactLocationURL"), "Model files", "web"),
    ]
    return tuple({link.url: link for link in reversed(links) if opens(link.url)}.values())[::-1]


def _license_name(page: str, details: Details) -> str:
    spdx = _SPDX_PAGE.match(page)
    return details.license or (unquote(spdx[1]) if spdx else "")


def _page(details: Details, homepage: str) -> str:
    """Return the page that shows the deployment, else the registered version, else the owner's homepage."""
    for icon in ("dashboard", "catalog"):
        for link in details.links:
            if link.icon == icon and opens(link.url):
                return link.url
    return homepage if opens(homepage) else ""
