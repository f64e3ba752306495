"""What the normalizer answers when it is asked: GET /status, and GET /explain for one model that is missing."""

import asyncio
import difflib
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from aiohttp import web

from common import __version__, identity
from common.http.problems import HttpProblem
from common.status import (
    ConditionStatus,
    Explained,
    Explanation,
    HiddenStatus,
    LeavingStatus,
    NormalizerStatus,
    ProblemStatus,
    SourceStatus,
    UnreadStatus,
    conditions_of,
    moment,
    settings_of,
)
from common.wire import Stored, Upsert
from services.normalizer.context import Context
from services.normalizer.facts import Ref
from services.normalizer.hidden import Hidden, label_of
from services.normalizer.ledger_accounts import Doubt
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.result import segment
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sourcebook import SourceState

URL_SCHEMES = ("http://", "https://", "grpc://")
_LONGEST = 2000
_NEAR = 3
_CALLED = 4
"""About how many names a model has."""
_MOST = 50


class Reporter:
    """Describes the state of the normalizer, and of single models: shown, leaving or hidden, and why."""

    def __init__(self, context: Context) -> None:
        self._desired = context.desired
        self._book = context.book
        self._ledger = context.ledger
        self._health = context.health
        self._hidden = context.hidden
        self._mirror = context.mirror
        self._clock = context.clock

    def status(self, settings: NormalizerSettings) -> NormalizerStatus:
        """Return the state of the normalizer; `settings` are those in effect."""
        conditions = conditions_of(self._health)
        named = {condition.name: condition for condition in conditions}
        counts = self._ledger.counts()
        sources = [_source(health, named, counts) for health in self._book.sources()]
        return NormalizerStatus(
            version=__version__,
            started=moment(self._health.started),
            conditions=conditions,
            sources=tuple(sources),
            hidden=tuple(
                HiddenStatus(
                    object=each.object,
                    source=each.source,
                    cause=each.why.cause,
                    reason=each.why.reason,
                    remedy=each.why.remedy,
                    since=moment(each.since),
                )
                for each in self._hidden.all()
            ),
            leaving=tuple(
                LeavingStatus(
                    object=doubt.ref,
                    source=doubt.source,
                    reason=doubt.reason,
                    since=moment(doubt.since),
                    due=None if doubt.due is None else moment(doubt.due),
                    refused=doubt.due is None,
                )
                for doubt in self._ledger.doubts()
            ),
            problems=tuple(
                ProblemStatus.of(problem)
                for problem in sorted({each for of_one in self._desired.problems.values() for each in of_one})
            ),
            settings=settings_of(settings),
        )

    def explain(self, name: str) -> Explanation:
        """Return what is known of a model, given by its name, namespace/name, key, path in the feed or URL."""
        wanted = key_of(name.strip()).lower()
        found = {ref for ref, called in self._names() if any(wanted == each.lower() for each in called)}
        found |= {ref for ref, facts in self._desired.deployments.all() if matches(facts, name.strip())}
        doubts = {doubt.ref: doubt for doubt in self._ledger.doubts()}
        stored = {entry.ref for entry in self._mirror.entries.values()}
        return Explanation(
            model=name,
            found=tuple(self._explained(ref, doubts.get(ref), stored) for ref in sorted(found)[:_MOST]),
            unread=tuple(
                UnreadStatus(source=each.id, reason=each.reason)
                for each in self._book.sources()
                if each.failing or (each.looked is None and not each.absent)
            ),
        )

    def known_names(self) -> dict[str, str]:
        """Return the references of models by all names by which they are known."""
        return {each: ref for ref, called in self._names() for each in called if each}

    def _names(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield references with the names of their models."""
        for ref, facts in self._desired.deployments.all():
            yield ref, _names_of(facts.namespace, facts.name)
        for each in self._desired.registered.versions():
            model, version = each.model, each.version
            key = identity.key_of((segment(model.name), segment(version.name)))
            yield str(each.ref), (model.name, f"{model.name}/{version.name}", f"{model.name} {version.name}", key)
        for key, entry in self._entries():
            yield entry.ref or key, (key, entry.ref, entry.model_name, entry.server_name)
        for hidden in self._hidden.all():
            yield hidden.ref, (hidden.ref, hidden.object)
            parsed = Ref.try_parse(hidden.ref)
            if parsed is None:  # a registry
                id_ = hidden.ref.partition(":")[2]
                yield hidden.ref, (id_, id_.rpartition("/")[2])
            elif parsed.is_deployment:
                yield hidden.ref, _names_of(*parsed.ids)

    def _explained(self, ref: str, doubt: Doubt | None, stored: set[str]) -> Explained:
        of_one = {
            "object": label_of(ref),
            "problems": tuple(map(ProblemStatus.of, self._desired.problems.get(ref, ()))),
        }
        if (hidden := self._why(ref, stored)) is not None:
            return Explained(
                source=hidden.source,
                state="hidden",
                cause=hidden.why.cause,
                reason=hidden.why.reason,
                remedy=hidden.why.remedy,
                since=moment(hidden.since),
                **of_one,
            )
        of_one["source"] = self._desired.source_of(ref) or (doubt.source if doubt else "")
        version = self._desired.deployments.shown_with_version(ref)
        shown = version or ref
        key, entry = next(((key, each) for key, each in self._entries() if (each.ref or key) == shown), ("", None))
        of_one |= {"key": key, "uri": entry.uri if entry is not None else ""}
        if doubt is not None:
            return Explained(
                state="leaving",
                cause=doubt.reason,
                reason="its source does not show it any more, or it is not ready; it stays for a while",
                remedy=f"connector removals refuse {key} to keep it, connector removals confirm {key} to let it go now",
                since=moment(doubt.since),
                due=None if doubt.due is None else moment(doubt.due),
                **of_one,
            )
        if key not in self._mirror.entries or key in self._mirror.busy:
            return Explained(state="on-its-way", reason="storage has not confirmed it yet", **of_one)
        refusal = self._mirror.refusals.get(key, "")
        reason = f"it is shown as the server of {label_of(version)}" if version else ""
        if refusal:
            reason = f"it is shown as it was before: storage does not take its new form: {refusal}"
        return Explained(state="shown", reason=reason, **of_one)

    def _entries(self) -> Iterator[tuple[str, Stored | Upsert]]:
        yield from self._mirror.entries.items()
        yield from self._desired.wanted.items()

    def _why(self, ref: str, stored: set[str]) -> Hidden | None:
        if (hidden := self._hidden.get(ref)) is not None:
            return hidden
        why = self._desired.renderer.why_hidden(ref, lambda: stored)
        if why is None:
            return None
        since = why.since or self._clock()
        return Hidden(ref=ref, object=label_of(ref), source=self._desired.source_of(ref), why=why, since=since)


def _source(
    health: SourceState, conditions: dict[str, ConditionStatus], counts: dict[str, tuple[int, int]]
) -> SourceStatus:
    condition = conditions.get(health.id)
    shown, leaving = counts.get(health.id, (0, 0))
    ok = condition.ok if condition else not health.failing
    return SourceStatus(
        id=health.id,
        kind=health.kind,
        ok=ok,
        last_look=None if health.looked is None else moment(health.looked),
        stale=health.failing and not ok,
        shown=shown,
        leaving=leaving,
        reason=condition.reason if condition else "",
    )


def _names_of(namespace: str, name: str) -> tuple[str, ...]:
    """Return the names that people may use for a deployment."""
    return (name, f"{namespace}/{name}", identity.key_of((namespace, name)))


def key_of(name: str) -> str:
    """Return the key of an entry, given by its path in the feed; any other name is returned as it is."""
    path = urlsplit(name).path if name.startswith(URL_SCHEMES) else name
    segments = path.strip("/").split("/")
    if segments[-1] == identity.DOCUMENT_NAME and len(segments) >= 3:
        return identity.key_of((segments[-3], segments[-2]))
    return name


def matches(deployment: Deployment, name: str) -> bool:
    """Return whether a name, namespace/name, key or URL is that of a deployment."""
    if name.startswith(URL_SCHEMES):
        return bool(deployment.url) and urlsplit(deployment.url).netloc == urlsplit(name).netloc
    return name in _names_of(deployment.namespace, deployment.name)


def _similar_names(name: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that are most similar to a name, one of each model; `names` are references by name.

    With ten thousand models that takes seconds.
    """
    found: dict[str, str] = {}
    for near in difflib.get_close_matches(key_of(name.strip()), sorted(names), n=_NEAR * _CALLED):
        found.setdefault(names[near], near)
    return tuple(found.values())[:_NEAR]


def add_explanations(app: web.Application, reporter: Reporter) -> None:
    """Add `/explain`, which may be read from this host, or with the token."""

    async def show(request: web.Request) -> web.Response:
        name = request.query.get("model", "").strip()
        if not name or len(name) > _LONGEST:
            raise HttpProblem(400, "say which model: /explain?model=NAME, namespace/name, a key or a URL")
        explanation = reporter.explain(name)
        if not explanation.found:
            near = await asyncio.to_thread(_similar_names, name, reporter.known_names())
            explanation = explanation.model_copy(update={"near": near})
        return web.Response(body=explanation.encode(), content_type="application/json")

    app.router.add_get("/explain", show)
