"""What the original costs, and what we want to reach.

The original is the set of Go sidecars of Red Hat Developer Hub 1.8. Its figures were measured on 2 cores against a
real API server, with the registry on loopback and one version per model.
"""

from benchmarks.figures import Target

SYNC_SECONDS = {10: 8.2, 100: 98.0, 400: 399.0}
"""A full sync of so many models."""
SYNC_SHARE = 0.01
"""Ours must take less than this share of it..."""
LARGE_SYNC = {10_000: 30.0}
"""...and less than so many seconds for so many models."""


def sync_target(models: int) -> Target | None:
    """Return the limit of a full sync in seconds, None for sizes that no one set one for."""
    if models in SYNC_SECONDS:
        return Target(SYNC_SECONDS[models] * SYNC_SHARE, below=True)
    return Target(LARGE_SYNC[models], below=True) if models in LARGE_SYNC else None


def registry_requests(models: int, *, cards: bool = False) -> int:
    """Return what the original asks a registry in one sync, changed or not."""
    return (4 if cards else 3) * models + 1


def api_calls(models: int) -> int:
    """Return the original's calls of the API server in one sync that changes nothing."""
    return 5 * models + 1


def configmap_writes(models: int) -> int:
    """Return the original's writes of its ConfigMap in one sync that changes nothing."""
    return 2 * models


UNCHANGED_REQUESTS = 6
"""Registry requests of a sync that changes nothing, in addition to one per page."""

READY_IDLE_MS, READY_BURST_MS, READY_SYNC_MS = 107.0, 589.0, 1982.0
READY_TARGETS = Target(25, below=True), Target(50, below=True), Target(50, below=True)

GONE_MS = {10: 11_200.0, 200: 200_000.0}
GONE_TARGET = Target(25, below=True)

MEMORY_MIB = {"location": 60.0, "storage-rest": 74.0, "rhoai-normalizer": 77.0}
MEMORY_TARGET = Target(150)
ONE_PROCESS_TARGET = Target(95)
FURTHER_MODEL_TARGET = Target(8, below=True)

START_MS = {"location": 93.0, "storage-rest": 98.0, "rhoai-normalizer": 363.0}
START_FACTOR = 3

READS = {("/list", 1): 6_200.0, ("/list", 16): 10_400.0, ("document", 1): 8_500.0, ("document", 16): 21_000.0}
"""Requests per second, by what is read and over how many connections."""
READS_SHARE = {1: 1.0, 16: 0.7}
