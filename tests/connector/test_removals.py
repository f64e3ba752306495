"""`connector removals` against a storage-rest on a real socket."""

import asyncio
import json

from click.testing import CliRunner, Result

from common.wire import Batch, Leaving
from services.connector.cli import main
from tests.storage_rest.running import TOKEN, Running, running, upsert


async def connector(*arguments: str, url: str, token: str = TOKEN) -> Result:
    """Run the command in a thread, for it has an event loop of its own."""
    runner = CliRunner()
    return await asyncio.to_thread(
        runner.invoke, main, ["removals", *arguments, "--url", url], env={"token": token}, catch_exceptions=False
    )


def said(result: Result) -> list[str]:
    """The lines of the command, without what the service logs at the same time."""
    return [line for line in result.output.splitlines() if not line[:4].isdigit()]


async def fill(storage: Running) -> None:
    entries = tuple(upsert(f"a_{n}", ref=f"isvc:local:a/{n}") for n in range(3))
    await storage.service.apply(Batch(upserts=entries, complete=True))
    mark = Leaving(since=1_700_000_000, reason="not-listed")
    await storage.service.apply(Batch(leaving={"a_0": mark, "a_1": mark}))


async def test_what_is_leaving_is_listed_confirmed_and_refused() -> None:
    async with running() as storage:
        await fill(storage)
        listed = await connector("list", url=storage.url)
        assert said(listed) == [
            "leaving:",
            "  KEY  REASON      SINCE                 DUE                   REF",
            "  a_0  not-listed  2023-11-14T22:13:20Z  2023-11-14T23:13:20Z  isvc:local:a/0",
            "  a_1  not-listed  2023-11-14T22:13:20Z  2023-11-14T23:13:20Z  isvc:local:a/1",
            "nothing has left",
        ]
        assert said(await connector("confirm", "a_0", url=storage.url)) == ["removed: a_0"]
        assert said(await connector("refuse", "--all", url=storage.url)) == ["kept: a_1"]
        assert storage.service.stored.keys == ["a_1", "a_2"]
        told = json.loads((await connector("list", "--format", "json", url=storage.url)).output)
        assert [(item["key"], item["due"]) for item in told["leaving"]] == [("a_1", None)]
        assert "kept" in (await connector("list", url=storage.url)).output
        assert said(await connector("accept", url=storage.url)) == ["the cache is not damaged"]


async def test_what_goes_wrong_is_said() -> None:
    async with running() as storage:
        await fill(storage)
        cases = {
            ("confirm", "x_y"): "not about to leave: x_y",
            ("confirm",): "give keys that `connector removals list` shows, or --all",
        }
        for arguments, said in cases.items():
            result = await connector(*arguments, url=storage.url)
            assert result.exit_code != 0
            assert said in result.output
        refused = await connector("confirm", "--all", url=storage.url, token="wrong")
        assert "to the one that the sidecars share" in refused.output
        assert len(storage.service.stored.keys) == 3
    away = await connector("list", url="http://127.0.0.1:9")
    assert (away.exit_code, "check that --url is the address of storage-rest" in away.output) == (1, True)
