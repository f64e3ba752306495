import asyncio

# looptime asks for the event loop in synchronous tests too, which would create one that nobody closes.
asyncio.set_event_loop(None)
