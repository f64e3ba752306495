"""Run a fake cluster: `python -m tests.fakes.kubernetes --port 0 [--tls-dir DIR] [--load FILE|DIR]`.

Once it listens it prints one line: {"url", "control", "token", "ca"}; `ca` is PEM text, empty without TLS.
It ends on SIGTERM or SIGINT, and with --exit-with-stdin when its standard input is closed.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from tests.fakes.kubernetes.certificates import Certificates
from tests.fakes.kubernetes.cluster import ADMIN_TOKEN, HISTORY_LIMIT, FakeCluster
from tests.fakes.kubernetes.control import PREFIX, Control
from tests.fakes.kubernetes.resources import INFERENCE_SERVICES, KNOWN_CUSTOM, ROUTES


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fakes.kubernetes", description="A fake Kubernetes API server"
    )
    parser.add_argument("--port", type=int, default=0, help="of the API server; 0: any")
    parser.add_argument("--control-port", type=int, default=0, help="of the control API; 0: any")
    parser.add_argument("--tls-dir", type=Path, help="serve HTTPS; ca.pem is kept in this directory")
    parser.add_argument("--load", type=Path, action="append", default=[], help="YAML or JSON file, or directory")
    parser.add_argument("--token", default=ADMIN_TOKEN, help="of the administrator")
    parser.add_argument("--history", type=int, default=HISTORY_LIMIT, help="events kept per type")
    parser.add_argument("--exit-with-stdin", action="store_true", help="end when standard input is closed")
    parser.add_argument(
        "--resources",
        nargs="*",
        choices=[resource.plural for resource in KNOWN_CUSTOM],
        default=[INFERENCE_SERVICES.plural, ROUTES.plural],
        help="custom types installed at the start",
    )
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    """Serve until told to end."""
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if options.exit_with_stdin:
        loop.add_reader(sys.stdin, lambda: None if os.read(sys.stdin.fileno(), 1024) else end.set())
    cluster = FakeCluster(
        tls=Certificates.kept_in(options.tls_dir) if options.tls_dir else False,
        resources=[resource for resource in KNOWN_CUSTOM if resource.plural in options.resources],
        port=options.port,
        token=options.token,
        history_limit=options.history,
    )
    for path in options.load:
        cluster.load(path)
    runner = web.AppRunner(Control(cluster).app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        async with cluster:
            await web.TCPSite(runner, "127.0.0.1", options.control_port).start()
            told = {"url": cluster.url, "control": f"http://127.0.0.1:{runner.addresses[0][1]}{PREFIX}"}
            print(json.dumps({**told, "token": options.token, "ca": cluster.ca_pem}), flush=True)
            await end.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
