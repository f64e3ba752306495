"""A registry that things happen to, in sequences that hypothesis makes up."""

from typing import Any

from hypothesis import strategies as st

from tests.fakes.registry import MODELS, VERSIONS, FakeRegistry

FAULTS = st.one_of(
    st.builds(lambda status: {"kind": "status", "status": status}, st.sampled_from([401, 403, 404, 500, 503])),
    st.sampled_from(["empty", "login", "truncated", "cut", "repeating"]).map(lambda kind: {"kind": kind}),
    st.builds(lambda count: {"kind": "shrinking", "count": count}, st.integers(1, 5)),
)
PATHS = st.sampled_from(["*", MODELS, VERSIONS, "model_artifacts", "inference_services", "model_versions/*"])
KINDS = st.sampled_from([MODELS, VERSIONS])
STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 3)),
    st.tuples(st.just("change"), st.sampled_from(["archive", "restore", "delete"]), KINDS, st.integers(0, 9)),
    st.tuples(st.just("rename"), KINDS, st.integers(0, 9)),
    st.tuples(st.just("attach"), st.integers(0, 9)),
    st.tuples(st.just("artifact"), st.integers(0, 9)),
    st.tuples(st.just("deploy"), st.integers(0, 9)),
    st.tuples(st.just("fail"), PATHS, FAULTS),
)
"""What `World.step` takes."""


class World:
    """A registry with the names of everything in it."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self.count = 0

    def step(self, order: tuple[Any, ...]) -> None:
        action, *words = order
        getattr(self, f"_{action}")(*words)

    def _add(self, versions: int) -> None:
        self.registry.populate(1, versions=versions, prefix=self._new_name("model"))

    def _fail(self, path: str, fault: dict[str, Any]) -> None:
        self.registry.fail(path=path, **fault)

    def _artifact(self, number: int) -> None:
        if artifact := self.pick("artifacts", number):
            self.registry.edit("artifacts", artifact["id"], uri=f"oci://{self._new_name('place')}")

    def _attach(self, number: int) -> None:
        if version := self.pick(VERSIONS, number):
            self.registry.add_artifact(version["id"], uri=f"oci://{self._new_name('place')}")

    def _deploy(self, number: int) -> None:
        if version := self.pick(VERSIONS, number):
            self.registry.add_inference_service("isvc", version["registeredModelId"], version["id"], "models")

    def _rename(self, kind: str, number: int) -> None:
        if item := self.pick(kind, number):
            self.registry.edit(kind, item["id"], name=self._new_name("renamed"))

    def _change(self, action: str, kind: str, number: int) -> None:
        if item := self.pick(kind, number):
            getattr(self.registry, action)(kind, item["id"])

    def _new_name(self, word: str) -> str:
        self.count += 1
        return f"{word}-{self.count}"

    def truth(self) -> dict[str, Any]:
        """The live versions with all that a document is made of."""
        store = self.registry.store
        models = {item["id"]: item for item in store.listed(MODELS) if item["state"] == "LIVE"}
        return {
            version["id"]: (
                models[version["registeredModelId"]]["name"],
                version["name"],
                [artifact["uri"] for artifact in store.artifacts_of(version["id"])],
            )
            for version in store.listed(VERSIONS)
            if version["state"] == "LIVE" and version["registeredModelId"] in models
        }

    def pick(self, kind: str, number: int) -> Any:
        """Return one of the objects of a kind, None when there is none."""
        items = self.registry.store.listed(kind)
        return items[number % len(items)] if items else None
