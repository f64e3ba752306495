"""Whatever happens to a registry, in whatever order: what is known is what the last complete poll saw."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fakes.registry import FakeRegistry, PageLimits
from tests.normalizer.sources.support import polling
from tests.normalizer.sources.world import STEPS, World


def shrinking(models: int, count: int) -> list[tuple[Any, ...]]:
    """Return the steps after which a list of pages of three loses objects while it is read for the first time."""
    return [("add", 1)] * models + [("fail", "*", {"kind": "shrinking", "count": count}), ("poll",)]


@settings(max_examples=40)
@example(shrinking(4, 1))
@example(shrinking(5, 1))
@example(shrinking(7, 1))
@example(shrinking(7, 4))
@given(st.lists(st.one_of(STEPS, st.just(("poll",))), max_size=25))
async def test_what_is_known_is_what_the_last_complete_poll_saw(steps: list[tuple[Any, ...]]) -> None:
    async with FakeRegistry(limits=PageLimits(default=3, cap=3)) as registry, polling(registry) as poller:
        world = World(registry)
        shown: dict[str, Any] = {}
        seen: set[str] = set()
        shrinks = False
        for order in [*steps, ("heal",), ("poll",), ("poll",)]:
            if order == ("heal",):
                registry.heal()
                shrinks = False
            elif order != ("poll",):
                world.step(order)
                shrinks |= order[0] == "fail" and order[2]["kind"] == "shrinking"
                continue
            reading = await poller.poll()
            known = {
                version.id: (
                    model.name,
                    version.name,
                    [artifact.uri for artifact in reading.artifacts[version.id]],
                )
                for model, version in reading.live()
                if version.id in reading.artifacts
            }
            # A reader that looks at nothing but what was touched ends up with the same.
            for each in reading.touched:
                shown.pop(each, None)
                if each in known:
                    shown[each] = known[each]
            assert shown == known
            live = {version.id for _, version in reading.live()}
            if reading.fault is None:
                assert reading.complete
                assert shrinks or known == world.truth()
            if reading.complete:
                # What a server leaves out between two pages cannot be missed before it was seen once.
                assert world.truth().keys() - live <= (world.truth().keys() - seen if shrinks else set())
                assert live <= world.truth().keys()
            seen |= known.keys()
            assert world.truth().keys() & shown.keys() <= known.keys()
        assert reading.fault is None
