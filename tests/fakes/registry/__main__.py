"""`python -m tests.fakes.registry ['{"tls": true, "tokens": ["…"]}']`: prints one JSON line, runs until stdin ends."""

import asyncio
import json
import sys

from tests.fakes.registry.process import serve

asyncio.run(serve(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}))
