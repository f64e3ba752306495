"""What the catalog must hold, derived from the documents of the feed: nothing refused, dropped, mangled or dangling."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.backstage.readers import CONNECTOR_ID, Reader
from tests.backstage.rig import Entity, reference

Document = Mapping[str, Any]

CARD = "TechDocs"
CARD_REFERENCE = "backstage.io/techdocs-ref"
SECOND_CARD = "techdocs"
TREES = "http://127.0.0.1:"
"""Where the trees are that the Gitea integration reads."""
_OWNER = "ownedBy"
_NOT_OURS = (_OWNER, "partOf")
"""Relations to people and systems, whom the connector does not bring."""
_INTO_THE_SPEC = {
    f"rhdh.io/{name}" for name in ("system", "serverType", "default", "owner", "lifecycle", "api-entity-ref")
}
"""Annotations that the second generation's reader turns into parts of the spec."""


class Judge:
    """Compares the entities of one reader with the documents; every fault found is reported, not only the first.

    `first` are the documents of the first generation, which the plain entities go by too, `second` those of the second.
    """

    def __init__(
        self,
        reader: Reader,
        entities: Iterable[Entity],
        *,
        first: Iterable[Document],
        second: Iterable[Document],
        feed: str,
    ) -> None:
        self._first, self._second = list(first), list(second)
        self._entities = {reference(entity): entity for entity in entities}
        self._reader = reader
        self._feed = feed
        self._faults: list[str] = []

    def faults(self) -> list[str]:
        """Return what is wrong; the entities are what the documents say when there is nothing."""
        expected: set[str] = set()
        if self._reader in (Reader.SECOND_GENERATION, Reader.SECOND_AND_PLAIN):
            for document in self._second:
                expected |= self._second_generation(document)
        if self._reader is not Reader.SECOND_GENERATION:
            for document in self._first:
                expected |= self._first_generation(document)
        self._expect("the entities", set(self._entities), expected)
        self._relations()
        return self._faults

    def _second_generation(self, document: Document) -> set[str]:
        server = document.get("modelServer")
        if server is None:
            return set()
        ref = f"aimodelserverapi:default/{server['name']}".lower()
        spec = self._spec(ref)
        self._metadata(ref, server, tags=[*server.get("tags", ()), _access(server)], links=_server_links(server))
        self._expect(f"{ref} models", spec.get("models", {}).get("available"), [m["name"] for m in document["models"]])
        self._expect(f"{ref} URL", spec.get("serverUrl"), server["API"]["url"])
        self._expect(f"{ref} owner", spec.get("owner"), f"user:{server['owner']}")
        self._expect(f"{ref} API key", spec.get("requiresApiKey"), server["authentication"])
        card = document["models"][0]["annotations"][SECOND_CARD]
        held = self._annotations(ref).get(CARD_REFERENCE)
        self._expect(f"{ref} card", held, _second_card(card, self._feed))
        return {ref}

    def _first_generation(self, document: Document) -> set[str]:
        server = document.get("modelServer")
        refs = {self._resource(model, server) for model in document["models"]}
        if server is None:
            return refs
        component, api = (f"{kind}:default/{server['name']}".lower() for kind in ("component", "api"))
        access = _access(server)
        self._metadata(component, server, tags=[*server.get("tags", ()), access], links=_server_links(server))
        self._related(component, "dependsOn", refs)
        self._related(component, "providesApi", {api})
        self._metadata(api, server["API"], tags=[*server["API"].get("tags", ()), access], links=[server["API"]["url"]])
        self._related(api, "apiProvidedBy", {component})
        spec = self._spec(api)
        self._expect(f"{api} definition", spec.get("definition"), server["API"]["spec"])
        self._expect(f"{api} type", spec.get("type"), server["API"]["type"])
        for ref in (component, api):
            self._expect(f"{ref} lifecycle", self._spec(ref).get("lifecycle"), server["lifecycle"])
            self._owned(ref, server)
        return {*refs, component, api}

    def _resource(self, model: Document, server: Document | None) -> str:
        ref = f"resource:default/{model['name']}".lower()
        links = [model[field] for field in ("artifactLocationURL", "howToUseURL", "license") if field in model]
        self._metadata(ref, model, tags=model.get("tags", ()), links=links)
        self._judge_card(ref, model["annotations"][CARD])
        if server is not None:
            self._related(ref, "dependencyOf", {f"component:default/{server['name']}".lower()})
        self._owned(ref, model)
        return ref

    @property
    def _plain(self) -> bool:
        return self._reader in (Reader.PLAIN, Reader.SECOND_AND_PLAIN)

    def _judge_card(self, ref: str, card: str) -> None:
        held = self._annotations(ref).get(CARD_REFERENCE, "")
        if self._plain and "/modelcard" in card:
            self._expect(
                f"{ref} has a tree", (held.startswith(f"url:{TREES}"), held.endswith("/src/branch/main")), (True, True)
            )
        else:
            self._expect(f"{ref} card", held, f"url:{card}")

    def _metadata(self, ref: str, said: Document, *, tags: Iterable[str], links: Iterable[str]) -> None:
        held = self._entities.get(ref, {}).get("metadata", {})
        self._expect(f"{ref} tags", set(held.get("tags", ())), set(tags))
        shown = {link for link in links if not self._plain or ref.startswith("aimodel") or link.startswith("http")}
        missing = shown - {link["url"] for link in held.get("links", ())}
        self._expect(f"{ref} lacks links", missing, set())
        if "description" in said:
            self._expect(f"{ref} description", held.get("description", ""), said["description"])
        if not ref.startswith("api:"):
            gone = {CARD, SECOND_CARD, *([CARD_REFERENCE] if self._plain or ref.startswith("aimodel") else ())}
            gone |= _INTO_THE_SPEC if ref.startswith("aimodel") else set()
            said_annotations = {item for item in said.get("annotations", {}).items() if item[0] not in gone}
            self._expect(f"{ref} lacks annotations", said_annotations - self._annotations(ref).items(), set())

    def _owned(self, ref: str, said: Document) -> None:
        if self._plain and not self._spec(ref).get("owner", "").startswith("user:"):
            return  # a group: the documents have no place for it
        self._related(ref, _OWNER, {f"user:default/{said['owner']}".lower()})

    def _related(self, ref: str, kind: str, targets: set[str]) -> None:
        held = self._entities.get(ref, {}).get("relations", ())
        self._expect(f"{ref} {kind}", {each["targetRef"] for each in held if each["type"] == kind}, targets)

    def _relations(self) -> None:
        """No relation leads nowhere."""
        for ref, entity in self._entities.items():
            targets = {each["targetRef"] for each in entity.get("relations", ()) if each["type"] not in _NOT_OURS}
            self._expect(f"{ref} leads nowhere", targets - self._entities.keys(), set())

    def _spec(self, ref: str) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self._entities.get(ref, {}).get("spec", {})
        return spec

    def _annotations(self, ref: str) -> Mapping[str, str]:
        annotations: Mapping[str, str] = self._entities.get(ref, {}).get("metadata", {}).get("annotations", {})
        return annotations

    def _expect(self, what: str, held: object, expected: object) -> None:
        if held != expected:
            self._faults.append(f"{what}: {held!r}, expected {expected!r}")


def _access(server: Document) -> str:
    return "auth-required" if server["authentication"] else "auth-not-required"


def _server_links(server: Document) -> list[str]:
    return [server["API"]["url"], *([server["homepageURL"]] if "homepageURL" in server else [])]


def _second_card(card: str, feed: str) -> str:
    """Cards of ours are read from the base that discovery gives, other pages where they are."""
    return f"url:{feed}/api/{CONNECTOR_ID}{card}" if card.startswith("/") else f"url:{card}"
