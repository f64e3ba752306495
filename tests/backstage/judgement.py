"""What the catalog must hold, derived from the documents of the feed: nothing refused, dropped, mangled or dangling."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.backstage.readers import CONNECTOR_ID, FEED_IN_A_POD, Reader
from tests.backstage.rig import Entity, reference

Document = Mapping[str, Any]

CARD = "TechDocs"
CARD_REFERENCE = "backstage.io/techdocs-ref"
OWN_CARD = f"{FEED_IN_A_POD}/modelcard?key="
_OWNER = "ownedBy"


class Judge:
    """Compares the entities of one reader with the documents; every fault found is told, not only the first."""

    def __init__(self, reader: Reader, documents: Iterable[Document], entities: Iterable[Entity], *, feed: str) -> None:
        self._documents = list(documents)
        self._entities = {reference(entity): entity for entity in entities}
        self._reader = reader
        self._feed = feed
        self._faults: list[str] = []

    def faults(self) -> list[str]:
        """Return what is wrong; the entities are what the documents say when there is nothing."""
        expected: set[str] = set()
        for document in self._documents:
            if self._reader in (Reader.SECOND_GENERATION, Reader.SECOND_AND_PLAIN):
                expected |= self._second_generation(document)
            if self._reader is not Reader.SECOND_GENERATION:
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
        cards = [m["annotations"][CARD] for m in document["models"] if CARD in m.get("annotations", {})]
        held = self._annotations(ref).get(CARD_REFERENCE)
        self._expect(f"{ref} card", held, _second_card(cards[0], self._feed) if cards else None)
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
        self._expect(f"{ref} card", self._annotations(ref).get(CARD_REFERENCE), self._card(model))
        if server is not None:
            self._related(ref, "dependencyOf", {f"component:default/{server['name']}".lower()})
        self._owned(ref, model)
        return ref

    def _card(self, model: Document) -> str | None:
        card = model.get("annotations", {}).get(CARD)
        return None if card is None else f"url:{card}"

    def _metadata(self, ref: str, said: Document, *, tags: Iterable[str], links: Iterable[str]) -> None:
        held = self._entities.get(ref, {}).get("metadata", {})
        self._expect(f"{ref} tags", set(held.get("tags", ())), set(tags))
        missing = set(links) - {link["url"] for link in held.get("links", ())}
        self._expect(f"{ref} lacks links", missing, set())
        if "description" in said:
            self._expect(f"{ref} description", held.get("description", ""), said["description"])
        if not ref.startswith("api:"):
            said_annotations = {item for item in said.get("annotations", {}).items() if item[0].lower() != CARD.lower()}
            self._expect(f"{ref} lacks annotations", said_annotations - self._annotations(ref).items(), set())

    def _owned(self, ref: str, said: Document) -> None:
        self._related(ref, _OWNER, {f"user:default/{said['owner']}".lower()})

    def _related(self, ref: str, kind: str, targets: set[str]) -> None:
        held = self._entities.get(ref, {}).get("relations", ())
        self._expect(f"{ref} {kind}", {each["targetRef"] for each in held if each["type"] == kind}, targets)

    def _relations(self) -> None:
        """No relation leads nowhere; owners are people, whom the connector does not bring."""
        for ref, entity in self._entities.items():
            targets = {each["targetRef"] for each in entity.get("relations", ()) if each["type"] != _OWNER}
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
    if not card.startswith(OWN_CARD):
        return f"url:{card}"
    return f"url:{feed}/api/{CONNECTOR_ID}/modelcard/{card.removeprefix(OWN_CARD)}"
