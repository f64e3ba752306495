"""What a process logs: one format for all lines, whatever writes them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from common.complaints import STARTING, Complaint

ROOT = Path(__file__).parents[2]
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
@pytest.mark.parametrize(
    "arguments",
    [("services.location", "--address", "203.0.113.1:9"), ("services.normalizer",), ("services.storage_rest",)],
    ids=lambda arguments: arguments[0],
)
def test_why_a_service_cannot_run_is_logged_in_the_same_format(
    arguments: tuple[str, ...], form: str, tmp_path: Path
) -> None:
    environ = {"LOG_LEVEL": "LOUD", "LOG_FORMAT": form, "HOME": str(tmp_path)}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=ROOT, check=False, timeout=60)

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [line["event"] for line in lines if line["level"] == "error"] == ["service_failed"]


def test_a_neighbour_that_is_still_starting_is_no_warning() -> None:
    complaint = Complaint(clock=lambda: 0.0)
    assert [complaint.failed() for _ in range(3)] == ["info", "", ""]
    assert [complaint.worked() for _ in range(2)] == [True, False]
    assert [complaint.failed() for _ in range(2)] == ["warning", ""]


def test_a_neighbour_that_does_not_start_is_a_warning_in_the_end() -> None:
    now = 0.0
    complaint = Complaint(clock=lambda: now)
    assert complaint.failed() == "info"
    now = STARTING
    assert [complaint.failed() for _ in range(2)] == ["warning", ""]
    assert complaint.worked()


def logged(code: str, format_: str = "json") -> str:
    """Return what a process writes whose logging is set up by us."""
    script = f"import structlog\nfrom common import logs\nlogs.configure(format={format_!r})\n"
    script += "log = structlog.get_logger('x')\n"
    ended = subprocess.run([sys.executable, "-c", script + code], capture_output=True, text=True, check=True)
    return ended.stderr


def test_a_line_has_the_id_the_meaning_for_people_and_the_values() -> None:
    line = json.loads(logged("log.warning('removals_held', source='kserve', entries=7)"))
    assert (line["event"], line["source"], line["entries"]) == ("removals_held", "kserve", 7)
    assert line["message"].startswith("Many entries are missing at once.")


def test_a_line_of_a_library_is_kept_as_it_is() -> None:
    line = json.loads(logged("import logging; logging.getLogger('library').warning('a %s of its own', 'text')"))
    assert line["event"] == "a text of its own"
    assert "message" not in line


def test_people_read_the_id_and_the_fields() -> None:
    text = logged("log.info('entry_removed', reason='deleted', key='a_b')", "console")
    assert text.index("reason=") < text.index("key=") < text.index("message=")
    assert "entry_removed" in text
    assert "key=a_b" in text
    assert "An entry was removed from the catalog" in text


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in logged("log.info('started', api_token='hunter2')")
