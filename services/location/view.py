"""One model version with everything a reader may show: title, owner, links, how to call its server. No I/O.

A view is computed from the stored document and its details. All feeds render the same view; they differ only in what
their reader displays. A document without details (written by the original connector or an earlier version) has a view
too, with the facts found in the document alone.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from common import backstage
from common.annotations import CARD_ANNOTATION, EXTERNAL_URL_ANNOTATION, INTERNAL_URL_ANNOTATION, NAME_ANNOTATION
from common.details import NO_DETAILS, SERVER_TYPES, DetailLink, Details, ServerType, unpacked

SECOND_CARD_ANNOTATION = "techdocs"
LOCATION_ANNOTATION = "rhdh.modelcatalog.io/artifact-location"
"""Where the model's files are, if a browser cannot open the address."""

_NO_SPECIFICATION = ("", "TBD")
"""The values of `API.spec` in a document whose API has no definition."""

_EMBEDDING_TASKS = frozenset(
    {"embedding", "embeddings", "feature-extraction", "sentence-similarity", "text-embedding", "text-embeddings"}
)
_TASKS_OF_OTHER_APIS = frozenset(
    {
        "audio-classification",
        "automatic-speech-recognition",
        "image-classification",
        "rerank",
        "reranking",
        "text-classification",
        "text-ranking",
        "text-to-image",
        "text-to-speech",
        "token-classification",
    }
)
"""Tasks for which an OpenAI server offers neither chat nor embeddings."""

_RUNTIMES: Mapping[str, ServerType] = {
    "vllm": "openai-v1",
    "nim": "openai-v1",
    "tgi": "openai-v1",
    "llamacpp": "openai-v1",
    "triton": "open-inference-protocol-v2",
    "tritonserver": "open-inference-protocol-v2",
    "ovms": "open-inference-protocol-v2",
    "openvino": "open-inference-protocol-v2",
    "mlserver": "open-inference-protocol-v2",
    "sklearnserver": "open-inference-protocol-v2",
    "xgbserver": "open-inference-protocol-v2",
    "lgbserver": "open-inference-protocol-v2",
}
"""Words in the tags of a document without details, and the protocol of the runtime of that name."""
_HUGGING_FACE_SERVER = "huggingfaceserver"
"""KServe's own server puts /openai before /v1 (kserve, protocol/rest/openai: KSERVE_OPENAI_ROUTE_PREFIX)."""

_HAS_VERSION = re.compile(r"/v1(?:/|\Z)")
_NUMBERS = re.compile(r"[vV]?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?((?:-[0-9A-Za-z.-]+)?)\Z")
_SPDX_PAGE = re.compile(r"https?://spdx\.org/licenses/([^/]+?)(?:\.html)?\Z")
_OWN_CARD = "/modelcard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A model server and how to call it.

    `base_url` is the address to give a client library (with `/v1` for OpenAI servers). `internal_url` (from inside the
    cluster) and `external_url` have the same form and may be empty. `names` are the model names that a request may
    contain: the usual one first, never empty. `operations` are those that the server announces, with paths below `url`.
    `definition` was read from the server, `specification` was written by the model's owner; both may be empty.
    """

    name: str
    url: str
    base_url: str
    internal_url: str
    external_url: str
    server_type: ServerType
    names: tuple[str, ...]
    token: bool
    embeds: bool
    generates: bool
    operations: tuple[str, ...]
    api_type: str
    definition: str
    specification: str


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
    server = _server(model, part, details) if part else None
    links = _links(model, part, details)
    homepage = _text(part, "homepageURL")
    page = _page(details, homepage)
    own = part.get("annotations", {}) if part else {}
    techdocs = annotations.get(CARD_ANNOTATION) or annotations.get(SECOND_CARD_ANNOTATION) or ""
    readme = techdocs if opens(techdocs) and _is_markdown_file(techdocs) else ""
    location = _text(model, "artifactLocationURL")
    return View(
        key=key,
        name=re.sub(r"\s+", "", model["name"]),
        title=details.title or model["name"],
        has_title=bool(details.title),
        about=_text(model, "description") or _text(part, "description"),
        owner=details.owner or f"user:{_text(model, 'owner') or 'unknown'}",
        system=details.system or own.get("rhdh.io/system") or annotations.get("rhdh.io/system") or "",
        lifecycle=_text(part, "lifecycle") or _text(model, "lifecycle"),
        tags=_tags(details, server),
        links=links,
        page=page,
        homepage=homepage or page,
        techdocs="" if readme or is_own_card(techdocs) or techdocs.startswith(_OWN_CARD) else techdocs,
        readme=readme,
        files=details.location or ("" if opens(location) else location),
        usage=_text(model, "usage") or _text(part, "usage"),
        ethics=_text(model, "ethics"),
        support=_text(model, "support"),
        training=_text(model, "training"),
        api_entity=details.api_entity or own.get("rhdh.io/api-entity-ref") or "",
        details=details,
        server=server,
    )


def _server(model: Mapping[str, Any], part: Mapping[str, Any], details: Details) -> Server | None:
    api = part.get("API")
    url = _text(api, "url")
    if not api or not url:
        return None
    annotations = api.get("annotations", {})
    specification = _text(api, "spec")
    server_type = _server_type(part, api, details)
    tags = (*part.get("tags", ()), *model.get("tags", ()))
    tasks = frozenset(task.lower().replace("_", "-") for task in details.tasks or tags)
    embeds = bool(tasks & _EMBEDDING_TASKS)

    def base_url(url: str) -> str:
        return _base_url(url, tags) if url and server_type == "openai-v1" else url

    return Server(
        name=re.sub(r"\s+", "", part["name"]),
        url=url,
        base_url=base_url(url),
        internal_url=base_url(annotations.get(INTERNAL_URL_ANNOTATION, "")),
        external_url=base_url(annotations.get(EXTERNAL_URL_ANNOTATION, "")),
        server_type=server_type,
        names=details.names or (model.get("annotations", {}).get(NAME_ANNOTATION) or model["name"],),
        token=part.get("authentication") is True,
        embeds=embeds,
        generates=not embeds and not tasks & _TASKS_OF_OTHER_APIS,
        operations=details.operations,
        api_type=_text(api, "type") or "openapi",
        definition=unpacked(details.definition),
        specification="" if specification.strip() in _NO_SPECIFICATION else specification,
    )


def _server_type(part: Mapping[str, Any], api: Mapping[str, Any], details: Details) -> ServerType:
    annotated = part.get("annotations", {}).get("rhdh.io/serverType", "")
    for server_type in SERVER_TYPES:
        if server_type and server_type == annotated:
            return server_type
    if details.server_type:
        return details.server_type
    if _text(api, "type") == "grpc" and _text(api, "spec").strip() in _NO_SPECIFICATION:
        return "grpc"
    if details != NO_DETAILS:
        return ""
    words = {word for tag in part.get("tags", ()) for word in tag.split("-")}
    return next((_RUNTIMES[word] for word in _RUNTIMES if word in words), "")


def _base_url(url: str, tags: Iterable[str]) -> str:
    """Return the base URL of an OpenAI server's API."""
    if _HAS_VERSION.search(urlsplit(url).path):
        return url.rstrip("/")
    prefix = "/openai/v1" if any(_HUGGING_FACE_SERVER in tag for tag in tags) else "/v1"
    return url.rstrip("/") + prefix


def _tags(details: Details, server: Server | None) -> tuple[str, ...]:
    """Return tags to search the catalog by: tasks, provider, licence, protocol, embeddings."""
    written = [*details.tasks, details.provider, details.license, *details.tags]
    if server:
        written += [server.server_type, "embeddings" if server.embeds else ""]
    return tuple(dict.fromkeys(tag for text in written if (tag := backstage.tag(text))))


def _links(model: Mapping[str, Any], part: Mapping[str, Any] | None, details: Details) -> tuple[DetailLink, ...]:
    license_page = _text(model, "license")
    links = [
        *details.links,
        DetailLink(_text(model, "howToUseURL"), "How to use", "help"),
        DetailLink(license_page, f"License: {_license_name(license_page, details)}".removesuffix(": "), "docs"),
        DetailLink(_text(part, "homepageURL"), "Homepage", "web"),
        DetailLink(_text(model, "artifactLocationURL"), "Model files", "web"),
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


def _text(part: Mapping[str, Any] | None, field: str) -> str:
    value = part.get(field) if part else None
    return value if isinstance(value, str) else ""
