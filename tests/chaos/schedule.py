"""What happens in one run, drawn from a seed: the same seed always gives the same schedule. Pure."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.chaos.servers import MODELS

Setup = Literal["pod", "run", "replicas", "original"]
"""The three documented processes; `connector run --cluster` in one process; two pods over one cache; the original's
normalizer before our two other processes."""
SETUPS: Final[tuple[Setup, ...]] = ("pod", "run", "replicas", "original")

ISVCS: Final = (*(f"model-{number:02}" for number in range(14)), *(f"llm-{number:02}" for number in range(4)))
"""InferenceServices, and LLMInferenceServices."""
STEADY: Final = tuple(f"steady-{number:02}" for number in range(20))
"""InferenceServices that no one touches: they must be in every list, and keep the share of what changes small."""
REGISTERED: Final = tuple(f"registered-{number}" for number in range(6))
SERVICES: Final = ("storage-rest", "location", "rhoai-normalizer")

_LISTS: Final = ("empty", "half", "absent", "forbidden", "broken", "unavailable", "hanging", "truncated")
_WATCHES: Final = ("close", "garbage", "silent", "error", "gone")
_WRITES: Final = ("forbidden", "broken", "conflict", "lost answer", "storage full")
_CACHE: Final = ("delete", "unlabel", "clear", "truncate", "move", "foreign", "duplicate")
_SERVERS: Final = ("empty", "status", "hang", "truncated", "cut", "login", "repeating", "shrinking")
_REGISTRY: Final = ("empty", "status", "hang", "truncated", "cut", "malformed", "repeating", "shrinking")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that happens: a kind, its arguments, and the seconds to wait before the next one."""

    kind: str
    arguments: dict[str, Any] = field(default_factory=dict)
    pause: float = 0.0

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.kind}({told}), then {self.pause:.2f} s"


def generate(seed: int, *, setup: Setup, length: int = 16) -> tuple[Action, ...]:
    """Return the schedule of a seed."""
    dice = random.Random(f"{seed}-{setup}")  # noqa: S311 - no cryptography
    return tuple(_actions(dice, length))


def _actions(dice: random.Random, length: int) -> Iterator[Action]:
    weights = [weight for weight, _ in _KINDS]
    for _ in range(length):
        ((_, draw),) = dice.choices(_KINDS, weights)
        action = draw(dice)
        # Mostly in quick succession, sometimes with time for everything to settle.
        pause = dice.choice((0.0, dice.uniform(0, 0.3), dice.uniform(0, 1.5), dice.uniform(1, 3)))
        yield Action(action.kind, action.arguments, round(pause, 2))


def _isvc(kind: str) -> Callable[[random.Random], Action]:
    return lambda dice: Action(kind, {"name": dice.choice(ISVCS)})


def _registered(kind: str) -> Callable[[random.Random], Action]:
    return lambda dice: Action(kind, {"name": dice.choice(REGISTERED)})


def _of_mlflow(kind: str) -> Callable[[random.Random], Action]:
    return lambda dice: Action(kind, {"name": dice.choice(MODELS)})


def _one_of(
    kind: str, how: Sequence[str], times: Sequence[int | None] = (1, 2, 4)
) -> Callable[[random.Random], Action]:
    return lambda dice: Action(kind, {"how": dice.choice(how), "times": dice.choice(times)})


def _process(dice: random.Random) -> Action:
    victims = dice.choice(([dice.choice(SERVICES)], [dice.choice(SERVICES)], list(dice.sample(SERVICES, 2)), SERVICES))
    how = dice.choice(("kill", "kill", "stop"))
    return Action("restart", {"services": sorted(victims), "how": how, "away": round(dice.uniform(0, 2), 2)})


def _outage(dice: random.Random) -> Action:
    return Action("outage", {"seconds": round(dice.uniform(0, 3), 2), "lose_history": dice.random() < 0.5})


_KINDS: Final[tuple[tuple[int, Callable[[random.Random], Action]], ...]] = (
    (6, _isvc("create")),
    (4, _isvc("delete")),
    (3, _isvc("edit")),
    (2, _isvc("stop")),
    (2, _isvc("opt_out")),
    (3, _isvc("flicker")),
    (2, _isvc("break")),
    (3, _registered("register")),
    (2, _registered("archive")),
    (4, _one_of("lists", _LISTS)),
    (3, _one_of("watches", _WATCHES)),
    (3, _one_of("writes", _WRITES, (1, 3, None))),
    (4, _one_of("cache", _CACHE, (1,))),
    (3, _one_of("registry", _REGISTRY, (1, 3, None))),
    (2, _of_mlflow("mlflow_register")),
    (2, _of_mlflow("mlflow_archive")),
    (3, _one_of("servers", _SERVERS, (1, 3, None))),
    (2, _outage),
    (1, lambda dice: Action("revoke", {"seconds": round(dice.uniform(0.2, 3), 2)})),
    (3, lambda _: Action("heal")),
    (6, _process),
    (2, lambda dice: Action("freeze", {"services": [dice.choice(SERVICES)], "seconds": round(dice.uniform(0, 15), 2)})),
    (2, lambda dice: Action("leave", {"services": [dice.choice(SERVICES)]})),
    (2, lambda _: Action("come_back")),
)
