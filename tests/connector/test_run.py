"""All three services in one process, on a machine without a cluster."""

import asyncio
import json
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from common.health import Health
from common.wire import Batch
from services.connector import assembly
from services.connector.cli import main
from services.location.shelf import Shelf
from tests import objects
from tests.connector.running import Running, connector
from tests.fakes.model_server import ModelServer
from tests.fakes.registry.registry import FakeRegistry
from tests.processes import environment
from tests.storage_rest.running import background, upsert
from tests.storage_rest.running import running as running_storage
from tests.waiting import PATIENCE, eventually


def write(path: Path, *objs: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump_all(objs))


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    write(folder / "one.yaml", objects.isvc("one"))
    return folder


async def test_manifests_are_served_and_said_to_be(manifests: Path, tmp_path: Path) -> None:
    async with connector("--manifests", str(manifests), "--state", str(tmp_path / "state")) as running:
        await eventually(lambda: "1 model is served" in running.lines, what="the announcement")
        assert f"{running.url}/models/one/model-catalog.json" in running.lines
        assert await running.uris() == ["/models/one/model-catalog.json"]
        for path in ("/healthz", "/readyz", "/metrics", "/catalog-info.yaml", "/removals"):
            await eventually(partial(answers, running, path), what=f"{path} answers 200")


async def test_the_second_port_answers_as_a_normalizer_of_its_own_does(manifests: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    state = str(tmp_path / "state")
    arguments = ("--manifests", str(manifests), "--state", state, "--metrics-address", f"127.0.0.1:{port}")
    async with connector(*arguments) as running:
        await eventually(running.uris, what="the first model")
        feed, running.url = running.url, f"http://127.0.0.1:{port}"
        for path in ("/healthz", "/readyz", "/metrics"):
            await eventually(partial(answers, running, path), what=f"{path} answers 200")
        status = json.loads((await running.get("/status"))[1])
        assert [each["id"] for each in status["sources"]] == ["manifests"]
        assert {each["name"] for each in status["conditions"]} >= {"manifests", "store", "feed"}
        (found,) = json.loads((await running.get("/explain?model=one"))[1])["found"]
        assert (found["state"], found["key"]) == ("shown", "models_one")
        running.url = feed


async def answers(running: Running, path: str) -> bool:
    return bool((await running.get(path))[0] == 200)


async def test_edits_of_the_files_are_followed(manifests: Path, tmp_path: Path) -> None:
    async with connector("--manifests", str(manifests), "--state", str(tmp_path / "state")) as running:
        await eventually(running.uris, what="the first model")
        write(manifests / "two.yml", objects.isvc("two"), objects.isvc("three"))

        async def all_three() -> bool:
            return len(await running.uris()) == 3

        await eventually(all_three, what="two more models")
        (manifests / "one.yaml").unlink()

        async def without_the_first() -> bool:
            return "/models/one/model-catalog.json" not in await running.uris()

        await eventually(without_the_first, what="the deleted one to go")
        (manifests / "two.yml").write_text("kind: [broken")
        write(manifests / "four.json", objects.isvc("four"))
        await eventually(all_three, what="the new one with those of the broken file")


async def test_what_was_cached_is_served_before_the_sources_are_read(manifests: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with connector("--manifests", str(manifests), "--state", str(state)) as running:
        await eventually(running.uris)
    arguments = ("--manifests", str(manifests), "--registry", "http://127.0.0.1:9", "--state", str(state))
    async with connector(*arguments) as running:
        assert await eventually(running.uris) == ["/models/one/model-catalog.json"]


async def test_who_has_to_wait_is_told_for_what_why_and_until_when(manifests: Path, tmp_path: Path) -> None:
    arguments = ("--manifests", str(manifests), "--registry", "public=http://127.0.0.1:9")
    async with connector(*arguments, "--state", str(tmp_path / "state")) as running:

        async def told() -> bool:
            for path in ("/list", "/api/kserve-kubeflow-connector/list"):
                status, text = await running.get(path)
                assert status == 503
                assert [each["source"] for each in json.loads(text)["awaited"]] == ["registry:public"]
                [awaited] = json.loads(text)["awaited"]
                assert awaited["reason"].startswith("unreachable: ")
                assert awaited["until"] is not None
                assert f"registry:public until {awaited['until']} at the latest" in json.loads(text)["detail"]
            return True

        await eventually(lambda: running.url, what="the address")
        await eventually(told, what="the reason of the 503")


async def test_a_state_directory_belongs_to_one_process_and_one_set_of_sources(manifests: Path, tmp_path: Path) -> None:
    arguments = ("--manifests", str(manifests), "--state", str(tmp_path / "state"), "--address", "127.0.0.1:0")
    async with connector(*arguments) as running:
        await eventually(running.uris)
        status, said = await ended(*arguments)
        assert (status, "used by another process" in said, "Traceback" in said) == (1, True, False)
    other = tmp_path / "other"
    other.mkdir()
    status, said = await ended("--manifests", str(other), *arguments[2:])
    assert (status, f"was filled from --manifests {manifests}" in said, "Traceback" in said) == (1, True, False)


async def test_what_goes_before_the_feed_is_complete_does_not_come_back() -> None:
    shelf = Shelf(health=Health())
    async with running_storage() as storage, background(assembly.fill(shelf, storage.service, complete=lambda: None)):
        await storage.service.apply(Batch(upserts=(upsert("a_1"), upsert("b_1"))))
        await eventually(lambda: len(shelf) == 2)
        await storage.service.apply(Batch(removals={"a_1": "deleted"}))
        await eventually(lambda: shelf.keys() == {"b_1"})
        await storage.service.apply(Batch(confirmed=True))
        await eventually(lambda: shelf.complete)
        assert shelf.keys() == {"b_1"}


async def test_several_run_side_by_side(manifests: Path, tmp_path: Path) -> None:
    async with (
        connector("--manifests", str(manifests), "--state", str(tmp_path / "a")) as one,
        connector("--manifests", str(manifests), "--state", str(tmp_path / "b")) as other,
    ):
        for running in (one, other):
            assert await eventually(running.uris)
        assert one.url != other.url


async def test_a_registry_is_read_with_manifests(manifests: Path, tmp_path: Path) -> None:
    async with FakeRegistry() as registry:
        registry.populate(3)
        arguments = ("--manifests", str(manifests), "--registry", registry.url, "--state", str(tmp_path / "state"))
        async with connector(*arguments) as running:

            async def all_four() -> bool:
                return bool(running.url) and len(await running.uris()) == 4

            await eventually(all_four)


async def test_nothing_can_be_written_to_it(manifests: Path, tmp_path: Path) -> None:
    async with connector("--manifests", str(manifests), "--state", str(tmp_path / "state")) as running:
        await eventually(lambda: running.url)
        body = json.dumps({"body": "e30="}).encode()
        async with running._http.post(f"{running.url}/upsert?key=a_b", data=body) as answer:
            assert answer.status in (404, 405)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to read: give --manifests, --registry or --cluster"),
        (("--manifests", "nowhere"), "'nowhere' does not exist"),
        (("--registry", "registry.example.com"), "'registry.example.com' is not a URL: write http://"),
        (("--address", "here"), "'here' is not an address: expected PORT, :PORT, HOST:PORT or [IPV6]:PORT"),
    ],
)
async def test_what_is_wrong_with_the_command_is_said(arguments: tuple[str, ...], said: str) -> None:
    status, error = await ended(*arguments)
    assert status != 0
    assert said in " ".join(error.split())


async def test_another_variable_that_cannot_be_used_ends_nothing(manifests: Path, tmp_path: Path) -> None:
    env = {"POLLING_INTERVAL": "soon", "MODEL_CATALOG_URL": "http://h:99999", "LOG_LEVEL": "loud"}
    async with connector("--manifests", str(manifests), "--state", str(tmp_path / "state"), env=env) as running:
        assert await eventually(running.uris)
        status, text = await running.get("/readyz")
        failing = {each["name"]: each["reason"] for each in json.loads(text)["conditions"] if not each["ok"]}
        assert status == 503
        assert env.keys() <= failing.keys()
        assert failing["POLLING_INTERVAL"].startswith(
            "POLLING_INTERVAL is 'soon': expected a duration such as 90s, 2m30s or 1h; 120 is used instead"
        )
        assert "; nothing is used instead" in failing["MODEL_CATALOG_URL"]


@pytest.mark.parametrize(
    ("variable", "value", "status", "said"),
    [
        ("SELECTOR", "a in", 2, "SELECTOR is 'a in': "),
        ("BACKSTAGE_JWKS_URL", "backstage", 2, "BACKSTAGE_JWKS_URL is 'backstage': expected http://"),
        ("MODEL_REGISTRY_CA_FILE", "/nowhere.pem", 1, "MODEL_REGISTRY_CA_FILE /nowhere.pem"),
    ],
)
async def test_a_variable_that_must_be_usable_is_named(
    variable: str, value: str, status: int, said: str, tmp_path: Path
) -> None:
    arguments = ("--registry", "http://127.0.0.1:9", "--state", str(tmp_path))
    code, error = await ended(*arguments, env={variable: value})
    assert code == status
    assert said in error
    assert "Traceback" not in error


async def ended(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a connector that must end by itself; return its status and what it said."""
    import sys

    from tests.connector.running import ROOT

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.connector", "run", *arguments),
        cwd=ROOT,
        env=environment(**(env or {})),
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return process.returncode, error.decode()


async def test_a_file_that_cannot_be_read_keeps_back_neither_the_rest_nor_what_it_held_before(
    manifests: Path, tmp_path: Path
) -> None:
    arguments = ("--manifests", str(manifests), "--state", str(tmp_path / "state"))
    write(manifests / "two.yaml", objects.isvc("two"))
    async with connector(*arguments) as running:
        await eventually(lambda: "2 models are served" in running.lines)
    (manifests / "two.yaml").write_text("kind: InferenceService\nspec: [broken")
    write(manifests / "three.yaml", objects.isvc("three"))
    async with connector(*arguments) as running:

        async def all_three() -> bool:
            return bool(running.url) and len(await running.uris()) == 3

        await eventually(all_three, what="the model of the broken file with the others")
        _, ready = await running.get("/readyz")
        assert "two.yaml:2 cannot be read: " in ready


async def test_a_folder_that_lost_most_of_its_files_is_believed_after_the_hold(manifests: Path, tmp_path: Path) -> None:
    arguments = ("--manifests", str(manifests), "--state", str(tmp_path / "state"))
    write(manifests / "many.yaml", *(objects.isvc(f"m{i}") for i in range(8)))
    async with connector(*arguments) as running:
        await eventually(lambda: "9 models are served" in running.lines)
    (manifests / "many.yaml").unlink()
    async with connector(*arguments, env={"REMOVAL_HOLD": "3s"}) as running:
        await eventually(lambda: "9 models are served" in running.lines)

        async def only_one() -> bool:
            return bool(running.url) and len(await running.uris()) == 1

        await eventually(only_one, what="the end of the hold")


NOT_INSTALLED = """
import importlib.metadata

def unknown(name):
    raise importlib.metadata.PackageNotFoundError(name)

importlib.metadata.version = importlib.metadata.distribution = unknown
from services.connector.cli import main
main()
"""


async def test_it_runs_from_a_checkout_that_is_not_installed(manifests: Path, tmp_path: Path) -> None:
    arguments = ("--manifests", str(manifests), "--state", str(tmp_path / "state"))
    async with connector(*arguments, program=("-c", NOT_INSTALLED)) as running:
        await eventually(lambda: "1 model is served" in running.lines)


async def test_servers_of_manifests_are_asked_where_that_is_wanted(tmp_path: Path) -> None:
    async with ModelServer("granite-8b", further=("sql",)) as server:
        model = objects.isvc("granite", model_format="vLLM", url=server.url)
        model["status"]["address"]["url"] = server.url
        (tmp_path / "models").mkdir()
        write(tmp_path / "models" / "granite.yaml", model)
        arguments = ("--manifests", str(tmp_path / "models"), "--state", str(tmp_path / "state"))
        async with connector(*arguments, env={"DISCOVER_MODELS": "true"}) as running:
            await eventually(lambda: "1 model is served" in running.lines)
            document = await running.document("/models/granite/model-catalog.json")
        assert document["models"][0]["annotations"]["rhdh.modelcatalog.io/model-name"] == "granite-8b"
        assert [call.path for call in server.calls] == ["/v1/models"]


async def test_a_folder_without_deployments_is_told_once(manifests: Path, tmp_path: Path) -> None:
    (manifests / "one.yaml").unlink()
    async with connector("--manifests", str(manifests), "--state", str(tmp_path / "state")) as running:
        await eventually(lambda: "no model is ready to be served yet" in running.lines, what="the announcement")
        write(manifests / "other.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}})
        write(manifests / "one.yaml", objects.isvc("one"))
        await eventually(running.uris, what="the first model")
        [told] = running.events("manifests_without_deployments")
        assert (told["paths"], told["files"]) == ([str(manifests)], 0)


async def test_problems_are_logged_with_the_lines_that_the_preview_names(manifests: Path, tmp_path: Path) -> None:
    path = manifests / "two.yaml"
    annotations = {"rhdh.io/ownr": "a", "rhdh.io/owner": "ml team!", "rhdh.io/license": "Mine alone"}
    obj = objects.isvc("two", annotations=annotations)
    obj["spec"]["predictor"] |= {"maxReplica": 2, "minReplicas": "1"}
    write(path, objects.isvc("three"), obj)
    result = CliRunner().invoke(main, ["preview", str(manifests), "--format", "json"])
    previewed = {
        (each["id"], f"{each['file']}:{each['line']}")
        for entry in json.loads(result.stdout)
        for each in entry["problems"]
    }
    async with connector("--manifests", str(manifests), "--state", str(tmp_path / "state")) as running:

        def logged() -> set[tuple[str, str]]:
            return {(each["problem"], each["place"]) for each in running.events("problem_found")}

        await eventually(lambda: len(logged()) >= len(previewed), what="the problems in the log")
        assert logged() == previewed
    lines = path.read_text().splitlines()
    named = {id_: lines[int(place.rpartition(":")[2]) - 1].strip() for id_, place in previewed}
    assert named == {
        "annotation_unknown": "rhdh.io/ownr: a",
        "owner_changed": "rhdh.io/owner: ml team!",
        "licence_unknown": "rhdh.io/license: Mine alone",
        "field_unknown": "maxReplica: 2",
        "field_of_wrong_type": "minReplicas: '1'",
    }
