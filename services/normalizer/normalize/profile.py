"""What people say about a model, mended so that Backstage takes it.

Both mappings read the same fields from different places: annotations of an InferenceService, custom properties of a
registry. The fields bear the names of the annotations here: `howtouse`, `homepageurl`, ...; `licenselink`, which goes
before the SPDX page of a licence's name, comes from registries only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.catalog import ApiType
from services.normalizer.normalize import values
from services.normalizer.normalize.licences import licence_page
from services.normalizer.normalize.links import as_link, is_web_address
from services.normalizer.normalize.notes import Notes
from services.normalizer.normalize.owners import Owner, parse_owner
from services.normalizer.normalize.result import Defaults

FIELDS = frozenset(
    {
        "apispec", "apitype", "description", "ethics", "homepageurl", "howtouse", "license", "lifecycle", "owner",
        "support", "techdocs", "training", "usage",
    }
)  # fmt: skip
"""The fields that people can say something in."""

LICENCE_ANNOTATION = "rhdh.modelcatalog.io/license"
TECHDOCS_ANNOTATION = "TechDocs"

API_TYPES: Mapping[str, ApiType] = {"openapi": "openapi", "asyncapi": "asyncapi", "graphql": "graphql", "grpc": "grpc"}

_LAST_RESORT = Owner("rhdh-rhoai-bridge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The fields as the document takes them; empty or None is absent."""

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


def read_profile(said: Mapping[str, str], *, defaults: Defaults, notes: Notes) -> Profile:
    """Return the mended fields; what had to be changed or left out is noted."""
    how_to_use_url, usage = _usage(said, notes)
    licence, annotations = _licence(said, notes)
    if techdocs := _web_link(said, "techdocs", notes):
        annotations[TECHDOCS_ANNOTATION] = techdocs
    return Profile(
        description=values.text(said.get("description")),
        owner=_owner(said, defaults, notes),
        lifecycle=values.line(said.get("lifecycle")) or values.line(defaults.lifecycle) or "development",
        api_spec=values.block(said.get("apispec")),
        api_type=_api_type(said, notes),
        ethics=values.text(said.get("ethics")),
        homepage_url=_link(said, "homepageurl", notes),
        how_to_use_url=how_to_use_url,
        license=licence,
        support=values.text(said.get("support")),
        training=values.text(said.get("training")),
        usage=usage,
        annotations=annotations,
    )


def _owner(said: Mapping[str, str], defaults: Defaults, notes: Notes) -> Owner:
    fallback = parse_owner(defaults.owner) or _LAST_RESORT
    written = values.line(said.get("owner"))
    if not written:
        return fallback
    owner = parse_owner(written)
    if owner is None:
        notes.warning(
            f"no owner can be made of {values.shown(written)}; {fallback.name} stands in",
            f"name a user or group of Backstage in {notes.place('owner')}, such as group:default/ml-team",
        )
        return fallback
    if owner.reference:
        notes.info(
            f"the owner {values.shown(written)} is shown as user:{owner.name} by Backstage's readers of this feed",
            "the readers know users only: name one, or give the catalog a user of that name",
        )
    elif not owner.exact and owner.name != written:
        notes.info(
            f"the owner {values.shown(written)} is shown as {owner.name}",
            f"write the name of a Backstage entity in {notes.place('owner')}",
        )
    return owner


def _usage(said: Mapping[str, str], notes: Notes) -> tuple[str | None, str]:
    how, usage = values.text(said.get("howtouse")), values.text(said.get("usage"))
    if not how:
        return None, usage
    if link := as_link(how):
        return link, usage
    notes.info(
        f"{notes.place('howtouse')} is no URL: it is shown with the usage",
        f"write an absolute URL in {notes.place('howtouse')}, and prose in {notes.place('usage')}",
    )
    return None, f"{usage}\n\n{how}" if usage else how


def _licence(said: Mapping[str, str], notes: Notes) -> tuple[str | None, dict[str, str]]:
    written = values.text(said.get("license"))
    text = as_link(values.text(said.get("licenselink")))
    if not written:
        return text, {}
    if link := as_link(written):
        return link, {}
    page = text or licence_page(written)
    if page is None:
        notes.info(
            f"the licence {values.shown(written)} is no URL and no SPDX identifier: it is kept as annotation only",
            f"write the URL of the licence's text in {notes.place('license')}",
        )
    return page, {LICENCE_ANNOTATION: written}


def _link(said: Mapping[str, str], name: str, notes: Notes) -> str | None:
    written = values.text(said.get(name))
    link = as_link(written) if written else None
    if written and link is None:
        notes.warning(
            f"{values.shown(written)} is no absolute URL and is left out",
            f"write an absolute URL, such as https://example.com/page, in {notes.place(name)}",
        )
    return link


def _web_link(said: Mapping[str, str], name: str, notes: Notes) -> str | None:
    link = _link(said, name, notes)
    if link and not is_web_address(link):
        notes.warning(
            f"{values.shown(link)} is no http or https URL and is left out",
            f"write an http or https URL in {notes.place(name)}",
        )
        return None
    return link


def _api_type(said: Mapping[str, str], notes: Notes) -> ApiType | None:
    written = values.line(said.get("apitype"))
    api_type = API_TYPES.get(written.lower())
    if written and api_type is None:
        notes.warning(
            f"the API type {values.shown(written)} is unknown; openapi stands in",
            f"write one of {', '.join(API_TYPES)} in {notes.place('apitype')}",
        )
        return "openapi"
    return api_type
