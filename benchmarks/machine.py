"""The machine that figures were taken on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

BUSY = 0.5
"""Processes that wanted to run in the last minute, from which on a machine is not fit for measuring."""


def describe() -> dict[str, str]:
    """Return what a reader needs to compare the figures with their own."""
    load = os.getloadavg()[0]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": f"{load:.1f}" + (" (busy: these figures are provisional)" if load > BUSY else ""),
        "packages": ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "pydantic")),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
