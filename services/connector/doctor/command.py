"""`connector doctor` on the command line."""

import asyncio
import json
import os
import sys
from typing import Literal

import click

from common import logs
from services.connector.doctor.report import COLOURS, Report, Step, lines_of


@click.command()
@click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print."
)
@click.option("--timeout", type=float, default=15.0, show_default=True, help="Seconds that each step may take.")
@click.option(
    "--fail-on",
    type=click.Choice(["fault", "warning"]),
    default="fault",
    show_default=True,
    help="What makes the exit status 1.",
)
@click.option("--location", metavar="URL", default="http://localhost:9090", show_default=True, help="Where it answers.")
@click.option("--storage", metavar="URL", default="http://localhost:7070", show_default=True, help="Where it answers.")
@click.option(
    "--normalizer", metavar="URL", default="http://localhost:8081", show_default=True, help="Where it answers."
)
def doctor(
    output: str, timeout: float, fail_on: Literal["fault", "warning"], location: str, storage: str, normalizer: str
) -> None:
    """Say what keeps models from Backstage: rights, sources, cache, feed, settings.

    Run it in any container of the connector, or on a laptop with a kubeconfig. It reads, and changes nothing.

    Ends with status 0 when nothing is wrong, 1 when something is, 2 for a wrong option.
    """
    from services.connector.doctor.examination import Options, examine

    logs.configure(level="ERROR", format="console")
    urls = {"location": location, "storage-rest": storage, "rhoai-normalizer": normalizer}

    async def run() -> Report:
        report = Report()
        async for step in examine(Options(environ=os.environ, urls=urls, timeout=timeout)):
            report.steps.append(step)
            if output == "text":
                _print(step)
        return report

    report = asyncio.run(run())
    click.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False) if output == "json" else report.summary)
    sys.exit(report.status(fail_on))


def _print(step: Step) -> None:
    for verdict, line in lines_of(step):
        click.secho(line, fg=COLOURS[verdict] if verdict else None, bold=line == step.title)
    click.echo()
