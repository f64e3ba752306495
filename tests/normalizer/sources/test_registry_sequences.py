"""Whatever happens to a registry, in whatever order: what is known is what the last complete poll saw."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.registry import FakeRegistry, PageLimits
from tests.normalizer.sources.support import polling
from tests.normalizer.sources.world import STEPS, World


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(STEPS, st.just(("poll",))), max_size=25))
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
