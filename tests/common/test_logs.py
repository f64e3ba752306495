"""What a process logs: one format for all lines, whatever writes them."""

import json
import subprocess
import sys

import pytest

from common.complaints import STARTING, Complaint

SAYS_ALL = """
import asyncio, gc, logging, sys, threading, warnings
from common import logs
logs.configure(level="INFO", format="json")
logging.getLogger("aiohttp.server").error("Error handling request\\nwith a second line")
warnings.warn("something is deprecated", DeprecationWarning, stacklevel=1)
logging.getLogger("asyncio").warning("Executing took %s seconds", 1)
logging.getLogger("quiet").debug("not wanted")

class Broken:
    def __del__(self):
        raise ValueError("in a finaliser")

Broken()

async def fails():
    raise ValueError("in a task")

async def main():
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    del task
    gc.collect()

asyncio.run(main())
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("at the end")
"""


def test_every_line_of_a_process_is_json() -> None:
    done = subprocess.run([sys.executable, "-W", "always", "-c", SAYS_ALL], capture_output=True, text=True, check=False)

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert done.stdout == ""
    said = "\n".join(f"{line['event']} {line.get('exception', '')}" for line in lines)
    for words in (
        "with a second line",
        "something is deprecated",
        "Executing took 1 seconds",
        "in a finaliser",
        "in a task",
        "ZeroDivisionError",
        "at the end",
    ):
        assert words in said
    assert "not wanted" not in said
    assert {line["level"] for line in lines} <= {"warning", "error", "critical"}


@pytest.mark.parametrize("form", ["auto", "json"])
@pytest.mark.parametrize("service", ["services.location", "services.normalizer", "services.storage_rest"])
def test_settings_at_fault_are_logged_in_the_same_format(service: str, form: str) -> None:
    environ = {"LOG_LEVEL": "LOUD", "LOG_FORMAT": form, "token": "hush"}
    command = [sys.executable, "-m", service]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False, timeout=60)

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert any("LOG_LEVEL" in str(line) for line in lines)
    assert "hush" not in done.stderr


class Lines:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def info(self, event: str, **_: object) -> None:
        self.told.append(("info", event))

    def warning(self, event: str, **_: object) -> None:
        self.told.append(("warning", event))


def test_a_neighbour_that_is_still_starting_is_no_warning() -> None:
    log, now = Lines(), 0.0
    complaint = Complaint(log, clock=lambda: now)
    for _ in range(3):
        complaint.failed("away")
    complaint.worked("back")
    complaint.worked("back")
    assert log.told == [("info", "away"), ("info", "back")]

    complaint.failed("away")
    complaint.failed("away")
    assert log.told[2:] == [("warning", "away")]


def test_a_neighbour_that_does_not_start_is_a_warning_in_the_end() -> None:
    log, now = Lines(), 0.0
    complaint = Complaint(log, clock=lambda: now)
    complaint.failed("away")
    now = STARTING
    complaint.failed("away")
    complaint.failed("away")
    complaint.worked("back")
    assert log.told == [("info", "away"), ("warning", "away"), ("info", "back")]
