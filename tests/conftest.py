"""What holds for all tests."""

import asyncio

from hypothesis import HealthCheck, settings

# How long an example takes to make says something of how busy the machine is, and nothing of the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_sessionstart() -> None:
    # Asked for the current event loop outside of one, Python 3.11 makes one that no one closes, and the plugin for
    # asynchronous tests asks. Once a loop was set, even to none, it makes no other.
    asyncio.set_event_loop(None)
