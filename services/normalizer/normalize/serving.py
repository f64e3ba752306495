"""Which isvc a version's document shows as its server, when several serve the version."""

from collections.abc import Iterable
from dataclasses import dataclass

from common.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerClaim:
    """An isvc that is linked to a version: `ref` and `subject` name it, `created` is in milliseconds or 0."""

    ref: str
    subject: str
    created: int
    ready: bool
    certain: bool = True


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """The ref of the isvc shown, None without claims, and the refs of the others, which are shown by themselves."""

    server: str | None
    others: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def choose_server(claims: Iterable[ServerClaim]) -> ServerChoice:
    """Return the isvc that a document shows: a certain link first, then ready ones, then the oldest, then by name."""
    ranked = sorted(claims, key=lambda c: (not c.certain, not c.ready, not c.created, c.created, c.ref))
    if not ranked:
        return ServerChoice(None)
    first, *others = ranked
    return ServerChoice(
        first.ref,
        tuple(claim.ref for claim in others),
        tuple(
            Problem(
                "second_deployment",
                "info",
                claim.subject,
                f"the registered version it serves is shown with {first.subject}; this one is shown by itself",
                "nothing needs doing: a document has room for one server",
            )
            for claim in others
        ),
    )
