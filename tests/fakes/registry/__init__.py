"""A fake Kubeflow model registry and a fake model catalog, over HTTP and HTTPS, with faults on command.

In a test: `async with FakeRegistry(tls=True) as registry, FakeCatalog() as catalog: ...`. As a process of its own, for
benchmarks and whole-system tests: `python -m tests.fakes.registry`, driven through `ProcessRegistry`.
"""

from tests.fakes.registry.catalog import FakeCatalog
from tests.fakes.registry.paging import ALL, ML_METADATA, PageLimits
from tests.fakes.registry.process import ProcessRegistry
from tests.fakes.registry.registry import V1, V1ALPHA3, FakeRegistry
from tests.fakes.registry.store import ARTIFACTS, ENVIRONMENTS, MODELS, SERVICES, VERSIONS

__all__ = [
    "ALL",
    "ARTIFACTS",
    "ENVIRONMENTS",
    "ML_METADATA",
    "MODELS",
    "SERVICES",
    "V1",
    "V1ALPHA3",
    "VERSIONS",
    "FakeCatalog",
    "FakeRegistry",
    "PageLimits",
    "ProcessRegistry",
]
