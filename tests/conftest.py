"""What holds for all tests."""

import asyncio


def pytest_sessionstart() -> None:
    # Asked for the current event loop outside of one, Python 3.11 makes one that nobody closes, and the plugin for
    # asynchronous tests asks. Once a loop was set, even to none, it makes no other.
    asyncio.set_event_loop(None)
