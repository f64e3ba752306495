import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.dockerfile import ROOT, Stage, build, read

SERVICES = ("location", "storage-rest", "rhoai-normalizer", "connector")


@pytest.fixture(scope="module")
def stages() -> dict[str, Stage]:
    return read()


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "hadolint", "Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_connector_is_the_default_target(stages: dict[str, Stage]) -> None:
    assert list(stages)[-1] == "connector"


@pytest.mark.parametrize("service", SERVICES)
def test_each_image_starts_its_service_as_process_1(stages: dict[str, Stage], service: str) -> None:
    (entry_point,) = [i for i in stages[service].instructions if i.keyword == "ENTRYPOINT"]

    assert stages[service].base == "runtime"
    assert entry_point.words == [f"/opt/app-root/connector/bin/{service}"]


def test_the_images_run_as_any_user_in_the_documented_directory(stages: dict[str, Stage]) -> None:
    runtime = stages["runtime"]

    assert runtime.base.startswith("registry.access.redhat.com/ubi9/python-312-minimal:")
    assert runtime.all("USER") == ["1001"]
    assert runtime.all("WORKDIR") == ["/opt/app-root/src"]
    assert runtime.all("STOPSIGNAL") == ["SIGTERM"]
    assert "PYTHONDONTWRITEBYTECODE=1" in runtime.all("ENV")[0]
    assert runtime.all("RUN") == [], "what runs in the final image could leave something behind"
    assert all(copy.startswith(("--from=build --chown=0:0 ", "--chown=0:0 ")) for copy in runtime.all("COPY"))


@pytest.mark.timeout(600)
def test_the_build_steps_make_an_environment_that_runs(stages: dict[str, Stage], tmp_path: Path) -> None:
    """All in one test, for the build takes most of its time."""
    source, tools, connector = tmp_path / "src", tmp_path / "tools", tmp_path / "connector"
    source.mkdir()

    build(
        stages["build"],
        source,
        {"PYTHON": sys.executable, "TOOLS": str(tools), "CONNECTOR": str(connector)},
    )

    _output_of(tools / "bin" / "pip", "--python", connector / "bin" / "python", "check")
    assert not list(connector.glob("bin/pip*")), "the result could install packages"
    assert _not_compiled(connector) == []
    for service in SERVICES:
        assert "--help" in _output_of(connector / "bin" / service, "--help"), service


def _output_of(*command: str | Path) -> str:
    done = subprocess.run(
        command,
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def _not_compiled(environment: Path) -> list[Path]:
    packages = next(environment.glob("lib/python3*/site-packages"))
    tag = sys.implementation.cache_tag
    return [
        module
        for package in ("common", "services", "aiohttp")
        for module in packages.glob(f"{package}/**/*.py")
        if not (module.parent / "__pycache__" / f"{module.stem}.{tag}.pyc").exists()
    ]
