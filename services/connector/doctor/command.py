"""The command line of `connector doctor`."""

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from common import LOCATION, NORMALIZER, STORAGE
from common.commandline import UrlType, finish, print_out, reported
from services.connector.doctor.report import COLOURS, Report, Step, lines_of
from services.connector.doctor.steps import LOCATION_URL, NORMALIZER_URL, STORAGE_URL

_STDOUT = Path("-")
F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = (
    click.option(
        "--format",
        "output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to print.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=15.0,
        show_default=True,
        help="Seconds that each step may take.",
    ),
    click.option(
        "--fail-on",
        type=click.Choice(["fault", "warning"]),
        default="fault",
        show_default=True,
        help="What makes the exit status 1.",
    ),
    click.option(
        "--cluster",
        "contexts",
        metavar="CONTEXT",
        multiple=True,
        help="A context of the kubeconfig, as 'connector run --cluster' was given it; repeatable.",
    ),
    click.option("--location", type=UrlType(), default=LOCATION_URL, show_default=True, help="Address of location."),
    click.option("--storage", type=UrlType(), default=STORAGE_URL, show_default=True, help="Address of storage-rest."),
    click.option(
        "--normalizer", type=UrlType(), default=NORMALIZER_URL, show_default=True, help="Address of rhoai-normalizer."
    ),
)


def _with_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@_with_options
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was found and the objects behind it to this .tar.gz, without secrets; - is standard output.",
)
@click.pass_context
def doctor(context: click.Context, /, bundle: Path | None, **options: Any) -> None:
    """Find what keeps models from Backstage, and say what to do.

    It examines permissions, sources, cache, feed and settings. Run it in any container of the connector, or on a laptop
    with a kubeconfig. It reads, and changes nothing.

    Ends with status 0 when nothing is wrong, 1 when something is, 2 for a wrong option.
    """
    context.default_map = {"model": options}
    if bundle is not None and context.invoked_subcommand is not None:
        raise click.UsageError("--bundle has everything, not one model: connector doctor --bundle FILE")
    if context.invoked_subcommand is None:
        from services.connector.doctor.examination import examine

        _run(lambda given: examine(given), bundle=bundle, **options)


@doctor.command(name="model")
@click.argument("name")
@_with_options
def model_command(name: str, **options: Any) -> None:
    """Show how far one model has got, and what stops it.

    NAME is the name of an InferenceService or of a registered model, NAMESPACE/NAME, a key, or a URL of the feed or of
    the model.
    """
    from services.connector.doctor.tracing import trace

    if not name.strip():
        raise click.UsageError("NAME is empty: give the name of a model")
    _run(lambda given: trace(given, name), **options)


def _run(
    steps: Callable[[Any], AsyncIterator[Step]],
    *,
    output: str,
    timeout: float,
    fail_on: Literal["fault", "warning"],
    location: str,
    storage: str,
    normalizer: str,
    contexts: tuple[str, ...] = (),
    bundle: Path | None = None,
) -> None:
    from services.connector.doctor.steps import DoctorOptions

    if contexts and os.environ.get("CLUSTERS_FILE", "").strip():
        raise click.UsageError("CLUSTERS_FILE names the clusters already: give no --cluster CONTEXT")
    urls = {LOCATION: location, STORAGE: storage, NORMALIZER: normalizer}
    to_stdout = bundle == _STDOUT
    if bundle is not None and not to_stdout:
        _prepare(bundle)

    async def run() -> Report:
        report = Report()
        given = DoctorOptions(environ=os.environ, urls=urls, timeout=timeout, contexts=contexts)
        async for step in steps(given):
            if output == "text":
                _print(step, report.steps[-1] if report.steps else None, err=to_stdout)
            report.steps.append(step)
        if bundle is not None:
            from services.connector.doctor.bundle import packed, write_bundle
            from services.connector.doctor.collecting import collect

            files = await collect(given, report)
            if to_stdout:
                sys.stdout.buffer.write(packed(files))
            else:
                write_bundle(bundle, files)
                click.echo(f"written: {bundle}", err=True)
        return report

    with reported("connector", OSError):
        report = finish(run())
    told = json.dumps(report.as_json(), indent=2, ensure_ascii=False) if output == "json" else report.summary
    print_out(told, err=to_stdout)
    sys.exit(report.status(fail_on))


def _prepare(bundle: Path) -> None:
    """Fail at once where the file cannot be written, and not after all steps."""
    from services.connector.doctor.bundle import prepare

    try:
        prepare(bundle)
    except OSError as error:
        hint = "in a container, write it to standard output: connector doctor --bundle - > bundle.tar.gz"
        raise click.UsageError(f"--bundle {bundle} cannot be written: {error.strerror}; {hint}") from None


def _print(step: Step, before: Step | None, *, err: bool) -> None:
    for verdict, line in lines_of(step, before):
        is_title = line in (step.title, f"  {step.title}", f"Cluster {step.cluster}")
        print_out(line, fg=COLOURS[verdict] if verdict else None, bold=is_title, err=err)
    print_out("", err=err)
