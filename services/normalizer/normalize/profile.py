"""What people say about a model, in fields that are corrected so that Backstage accepts them.

Both mappings read the same fields from different places: annotations of an InferenceService, custom properties of a
registry. The fields have the names of the annotations: `howtouse`, `homepageurl`, ... `licenselink`, which overrides
the SPDX page of a licence, comes only from registries.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from common.annotations import CARD_ANNOTATION
from common.backstage import ApiType
from common.details import NO_DETAILS, SERVER_TYPES, Details, ServerType
from services.normalizer.normalize import values
from services.normalizer.normalize.cards import card_url
from services.normalizer.normalize.licences import licence_identifier, licence_page
from services.normalizer.normalize.links import is_web_address, read_link, without_credentials
from services.normalizer.normalize.owners import Owner, entity_reference, parse_owner
from services.normalizer.normalize.result import DEFAULT_OWNER, Defaults, Notes

FIELDS = frozenset(
    {
        "apientityref", "apispec", "apitype", "default", "description", "ethics", "homepageurl", "howtouse", "license",
        "lifecycle", "owner", "servertype", "support", "system", "techdocs", "training", "usage",
    }
)  # fmt: skip
"""The fields that people can write."""

NAMES = "names"
TITLE = "title"
"""Further fields: the names that the server answers to, one per line, and a title for people."""

_LICENCE_ANNOTATION = "rhdh.modelcatalog.io/license"
_SERVER_TYPE_ANNOTATION = "rhdh.io/serverType"

_API_TYPES: Mapping[str, ApiType] = {"openapi": "openapi", "asyncapi": "asyncapi", "graphql": "graphql", "grpc": "grpc"}

_LAST_RESORT = Owner(DEFAULT_OWNER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The fields as the document has them; empty or None where there is nothing.

    `details` are kept with the document: title, owner, system, names, server type, licence.
    `server_annotations` are those of the model server.
    """

    description: str
    owner: Owner
    lifecycle: str
    api_spec: str
    api_type: ApiType | None
    ethics: str
    homepage_url: str | None
    how_to_use_url: str | None
    license: str | None
    support: str
    training: str
    usage: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    server_annotations: Mapping[str, str] = field(default_factory=dict)
    details: Details = NO_DETAILS


def read_profile(fields: Mapping[str, str], *, card: str, defaults: Defaults, notes: Notes) -> Profile:
    """Return the corrected fields; what had to be changed or left out becomes a problem.

    `card` is the key of the card that documents the model instead of the page that people name; empty without one.
    """
    how_to_use_url, usage = _usage(fields, notes)
    licence, annotations = _licence(fields, notes)
    if card:
        annotations[CARD_ANNOTATION] = card_url(card)
    elif techdocs := _techdocs(fields, notes):
        annotations[CARD_ANNOTATION] = techdocs
    owner = _owner(fields, defaults, notes)
    server_type, server_annotations = _server_type(fields)
    return Profile(
        description=_prose(fields, "description", notes),
        owner=owner,
        lifecycle=_prose(fields, "lifecycle", notes, read=values.line)
        or values.line(defaults.lifecycle)
        or "development",
        api_spec=_prose(fields, "apispec", notes, read=values.block),
        api_type=_api_type(fields, notes),
        ethics=_prose(fields, "ethics", notes),
        homepage_url=_link(fields, "homepageurl", notes) or None,
        how_to_use_url=how_to_use_url,
        license=licence,
        support=_prose(fields, "support", notes),
        training=_prose(fields, "training", notes),
        usage=usage,
        annotations=annotations,
        server_annotations=server_annotations,
        details=Details(
            server_type=server_type,
            title=_prose(fields, TITLE, notes, read=values.line),
            owner=owner.reference,
            system=_reference(fields, "system", "system", notes),
            api_entity=_reference(fields, "apientityref", "api", notes),
            names=stated_names(fields),
            license=_licence_name(annotations.get(_LICENCE_ANNOTATION, "")),
        ),
    )


def _prose(fields: Mapping[str, str], name: str, notes: Notes, read: Callable[[object], str] = values.text) -> str:
    if name not in fields:
        return ""
    written = read(fields[name])
    text = without_credentials(written)
    if text != written:
        notes.credentials(notes.place(name), key=notes.key(name))
    return text


def _owner(fields: Mapping[str, str], defaults: Defaults, notes: Notes) -> Owner:
    fallback = parse_owner(defaults.owner) or _LAST_RESORT
    written = values.line(fields.get("owner"))
    if not written:
        return fallback
    owner = parse_owner(written)
    if owner is None:
        notes.warning(
            "owner_invalid",
            f"no owner can be made of {values.shown(written)}; {fallback.name} is the owner instead",
            f"name a user or group of Backstage in {notes.place('owner')}, such as group:default/ml-team",
            key=notes.key("owner"),
        )
        return fallback
    if owner.reference:
        notes.info(
            "owner_changed",
            f"the owner {values.shown(written)} is shown as user:{owner.name} by Backstage's readers of this feed",
            "the readers know users only: name one, or give the catalog a user of that name",
            key=notes.key("owner"),
        )
    elif not owner.exact and owner.name != written:
        notes.info(
            "owner_changed",
            f"the owner {values.shown(written)} is shown as {owner.name}",
            f"write the name of a Backstage entity in {notes.place('owner')}",
            key=notes.key("owner"),
        )
    return owner


def _usage(fields: Mapping[str, str], notes: Notes) -> tuple[str | None, str]:
    how, usage = values.text(fields.get("howtouse")), _prose(fields, "usage", notes)
    if not how:
        return None, usage
    if link := read_link(how):
        if link.stripped:
            notes.credentials(notes.place("howtouse"), key=notes.key("howtouse"))
        return link.url, usage
    notes.info(
        "how_to_use_not_url",
        f"{notes.place('howtouse')} is not a URL: it is shown with the usage",
        f"write an absolute URL in {notes.place('howtouse')}, and prose in {notes.place('usage')}",
        key=notes.key("howtouse"),
    )
    how = _prose(fields, "howtouse", notes)
    return None, f"{usage}\n\n{how}" if usage else how


def _licence(fields: Mapping[str, str], notes: Notes) -> tuple[str | None, dict[str, str]]:
    """Return the page of the licence, and an annotation with its name where people gave one."""
    linked, written = values.text(fields.get("licenselink")), values.text(fields.get("license"))
    text = read_link(linked) if linked else None
    page = text.url if text else None
    if not written:
        return page, {}
    if link := read_link(written):
        if link.stripped:
            notes.credentials(notes.place("license"), key=notes.key("license"))
        return link.url, {}
    written = _prose(fields, "license", notes)
    page = page or licence_page(written)
    if page is None:
        notes.info(
            "licence_unknown",
            f"the licence {values.shown(written)} is neither a URL nor an SPDX identifier: it is kept as annotation",
            f"write the URL of the licence's text in {notes.place('license')}",
            key=notes.key("license"),
        )
    return page, {_LICENCE_ANNOTATION: written}


def _licence_name(written: str) -> str:
    return (licence_identifier(written) or values.line(written)) if written else ""


def _link(fields: Mapping[str, str], name: str, notes: Notes) -> str:
    place = notes.place(name)
    correct = f"write an absolute URL, such as https://example.com/page, in {place}"
    return notes.link(values.text(fields.get(name)), place=place, correct=correct, key=notes.key(name))


def _techdocs(fields: Mapping[str, str], notes: Notes) -> str:
    link = _link(fields, "techdocs", notes)
    if not link or is_web_address(link):
        return link
    notes.warning(
        "invalid_url",
        f"{values.shown(link)} is not an http or https URL and is left out",
        f"write an http or https URL in {notes.place('techdocs')}",
        key=notes.key("techdocs"),
    )
    return ""


def _api_type(fields: Mapping[str, str], notes: Notes) -> ApiType | None:
    written = values.line(fields.get("apitype"))
    api_type = _API_TYPES.get(written.lower())
    if written and api_type is None:
        notes.warning(
            "api_type_unknown",
            f"the API type {values.shown(written)} is unknown; openapi is used instead",
            f"write one of {', '.join(_API_TYPES)} in {notes.place('apitype')}",
            key=notes.key("apitype"),
        )
        return "openapi"
    return api_type


def _server_type(fields: Mapping[str, str]) -> tuple[ServerType, dict[str, str]]:
    """Return the server type where it is a known one, else the annotation that readers look at."""
    if "servertype" not in fields:
        return "", {}
    written = without_credentials(values.line(fields["servertype"]))
    known = next((name for name in SERVER_TYPES if name and name == written.lower()), None)
    if known:
        return known, {}
    return "", {_SERVER_TYPE_ANNOTATION: written} if written else {}


def _reference(fields: Mapping[str, str], name: str, kind: str, notes: Notes) -> str:
    written = values.line(fields.get(name))
    reference = entity_reference(written, kind=kind) if written else None
    if written and reference is None:
        notes.warning(
            "reference_invalid",
            f"{values.shown(written)} is not the name of an entity of kind {kind} and is left out",
            f"write {kind}:default/<name>, or the name alone, in {notes.place(name)}",
            key=notes.key(name),
        )
    return reference or ""


def stated_names(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that the server answers to according to people, the default one first."""
    names = (values.line(fields.get("default")), *fields.get(NAMES, "").split("\n"))
    return tuple(dict.fromkeys(without_credentials(name) for name in names if name))
