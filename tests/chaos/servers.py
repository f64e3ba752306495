"""An MLflow server and a gateway of the OpenAI API with faults, in addition to the cluster and its registry."""

from contextlib import AsyncExitStack
from typing import Final, Self

from tests.chaos.judge import Truth
from tests.fakes.mlflow import FakeMlflow
from tests.fakes.openai import FakeOpenAi
from tests.mlflow.contract import Server

MODELS: Final = tuple(f"mlflow-{number}" for number in range(4))
GATEWAY: Final = "/openai/gateway/model-catalog.json"
STATUSES: Final = (429, 500, 503, 404, 403)


class Servers:
    """Used with `async with`: each model of MLflow has one version, the gateway is always to be served."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._mlflow = FakeMlflow()
        self._gateway = FakeOpenAi("granite", "llama", "qwen")
        self._faults = 0
        self._registered: set[str] = set()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._mlflow)
            await stack.enter_async_context(self._gateway)
            self._client = await stack.enter_async_context(Server(self._mlflow.url))
            self._truth.wants(GATEWAY)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    @property
    def variables(self) -> dict[str, str]:
        """What names them to the normalizer."""
        return {"MLFLOW_URLS": f"team={self._mlflow.url}", "OPENAI_SERVERS": f"gateway={self._gateway.url}"}

    async def register(self, name: str) -> None:
        """Have a version that is live."""
        if name not in self._registered:
            self._registered.add(name)
            await self._client.send("registered-models/create", name=name)
            await self._client.version(name)
        else:
            await self._move(name, "None")
        self._truth.wants(_uri(name))

    async def archive(self, name: str) -> None:
        """Have its version archived."""
        if name in self._registered:
            self._truth.release(_uri(name))
            await self._move(name, "Archived")

    def fail(self, how: str, times: int | None) -> None:
        """Let both fail in this way; with a status, each time in another one."""
        for server in (self._mlflow, self._gateway):
            if how == "status":
                self._faults += 1
                server.fail("status", status=STATUSES[self._faults % len(STATUSES)], times=times)
            else:
                server.fail(how, times=times)

    def heal(self) -> None:
        """Take all faults back."""
        self._mlflow.heal()
        self._gateway.heal()

    async def _move(self, name: str, stage: str) -> None:
        await self._client.send("model-versions/transition-stage", name=name, version="1", stage=stage)


def _uri(name: str) -> str:
    return f"/{name}/1/model-catalog.json"
