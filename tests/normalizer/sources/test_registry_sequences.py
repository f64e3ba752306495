"""Whatever happens to a registry, in whatever order: what is known is what the last complete poll saw."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.registry import MODELS, VERSIONS, FakeRegistry, PageLimits
from tests.normalizer.sources.support import polling

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
    st.tuples(st.just("poll")),
)


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
        if artifact := self._pick("artifacts", number):
            self.registry.edit("artifacts", artifact["id"], uri=f"oci://{self._new_name('place')}")

    def _attach(self, number: int) -> None:
        if version := self._pick(VERSIONS, number):
            self.registry.add_artifact(version["id"], uri=f"oci://{self._new_name('place')}")

    def _deploy(self, number: int) -> None:
        if version := self._pick(VERSIONS, number):
            self.registry.add_inference_service("isvc", version["registeredModelId"], version["id"], "models")

    def _rename(self, kind: str, number: int) -> None:
        if item := self._pick(kind, number):
            self.registry.edit(kind, item["id"], name=self._new_name("renamed"))

    def _change(self, action: str, kind: str, number: int) -> None:
        if item := self._pick(kind, number):
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

    def _pick(self, kind: str, number: int) -> Any:
        items = self.registry.store.listed(kind)
        return items[number % len(items)] if items else None


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=25))
async def test_what_is_known_is_what_the_last_complete_poll_saw(steps: list[tuple[Any, ...]]):
    async with FakeRegistry(limits=PageLimits(default=3, cap=3)) as registry, polling(registry) as poller:
        world = World(registry)
        shown: dict[str, Any] = {}
        for order in [*steps, ("heal",), ("poll",), ("poll",)]:
            if order == ("heal",):
                registry.heal()
            elif order != ("poll",):
                world.step(order)
                continue
            reading = await poller.poll()
            known = {
                version.id: (
                    model.name,
                    version.name,
                    [artifact.uri for artifact in reading.snapshot.artifacts[version.id]],
                )
                for model, version in reading.snapshot.live()
                if version.id in reading.snapshot.artifacts
            }
            # A reader that looks at nothing but what was touched ends up with the same.
            for each in reading.touched:
                shown.pop(each, None)
                if each in known:
                    shown[each] = known[each]
            assert shown == known
            if reading.fault is None:
                assert reading.complete
                assert known == world.truth()
            if reading.complete:
                assert {version.id for _, version in reading.snapshot.live()} == world.truth().keys()
            assert world.truth().keys() & shown.keys() <= known.keys()
        assert reading.fault is None
