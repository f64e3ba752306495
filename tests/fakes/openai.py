"""A fake server of the OpenAI API: the list of its models, which tests change, and faults on command.

The shape of the list is that of vLLM 0.9 and LiteLLM 1.7: `{"object": "list", "data": [{"id": …, "object": "model"}]}`.
"""

from typing import Any

from aiohttp import web

from tests.fakes.registry.faults import Fault
from tests.fakes.registry.server import Answer, FakeServer

MODELS = "models"


class FakeOpenAi(FakeServer):
    """A gateway on a loopback port, used with `async with`; `models` are what it lists."""

    def __init__(self, *models: str, **server: Any) -> None:
        super().__init__(**server)
        self.models: list[Any] = list(models)

    def add_routes(self, app: web.Application) -> None:
        """Serve the list."""
        self.route(app, "GET", "/v1", MODELS, self._list)

    def _list(self, request: web.Request, hits: list[Fault]) -> Answer:
        missing = sum(fault.count for fault in hits if fault.kind == "shrinking")
        models = self.models[: len(self.models) - missing]
        return {"object": "list", "data": [{"id": each, "object": "model", "owned_by": "x"} for each in models]}, 200
