"""The environment of the processes that tests start."""

import os


def environment(**variables: str) -> dict[str, str]:
    """Return an environment with `variables`, the path to programs, and nothing else of the person who runs the tests.

    While coverage is measured, it has what a process needs to be measured, too (coverage.py, "Measuring subprocesses").
    """
    return {
        name: text for name, text in os.environ.items() if name == "PATH" or name.startswith("COVERAGE_")
    } | variables
