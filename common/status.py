"""What the services say of themselves at `GET /status`, and what location makes of it for people.

The models are the JSON: field names in camelCase, times in RFC 3339 (UTC). docs/status.schema.json is made from
`Status`. A service takes a neighbour's answer of another version: what it does not know is ignored, what is absent has
its default.
"""

import re
from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.alias_generators import to_camel

from common.health import Health
from common.problems import Problem
from common.settings import ServiceSettings

Level = Literal["ok", "warning", "error"]
"""How well things are: `warning`, somebody should look; `error`, something is not served or cannot be kept right."""

_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(?<=\w)\?[^\s,]+")


class Part(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="ignore", frozen=True, populate_by_name=True, serialize_by_alias=True
    )

    def encode(self) -> bytes:
        """Return it as JSON."""
        return self.model_dump_json().encode()


class ConditionStatus(Part):
    """One thing that must hold, as in `/readyz`; a reason beside one that holds is a remark."""

    name: str
    ok: bool
    reason: str = ""
    since: datetime


class SettingStatus(Part):
    """A setting in effect; a secret is `set` or empty, credentials in URLs are left out."""

    name: str
    value: str
    default: bool


class SourceStatus(Part):
    """A place where models are.

    `last_look`: when it was last read completely. `stale`: what is shown of it may be out of date, because it cannot be
    read now. `shown` and `leaving` count its objects. `reason` says why it cannot be read, and what to do.
    """

    id: str
    kind: str
    ok: bool
    last_look: datetime | None = None
    stale: bool = False
    shown: int = 0
    leaving: int = 0
    reason: str = ""


class HiddenStatus(Part):
    """A model that exists and is not shown, why, and what shows it; `cause` is an identifier such as `stopped`."""

    object: str
    source: str = ""
    cause: str
    reason: str = ""
    remedy: str = ""
    since: datetime | None = None


class LeavingStatus(Part):
    """A model that is about to leave.

    `due` is when it leaves at the earliest, None while an administrator wants it kept (`refused`) or that is not known.
    `key` is empty, and there are no commands, while its mark is not stored yet.
    """

    key: str = ""
    object: str = ""
    source: str = ""
    reason: str
    since: datetime
    due: datetime | None = None
    refused: bool = False
    confirm: str = ""
    refuse: str = ""


class MovementStatus(Part):
    """A model that has arrived, or has left for a reason."""

    key: str
    object: str = ""
    source: str = ""
    reason: str = ""
    at: datetime


class ProblemStatus(Part):
    """Something that is wrong with somebody's object, and what to do."""

    severity: Literal["error", "warning", "info"]
    object: str
    message: str
    remedy: str = ""

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Return a recorded problem."""
        return cls(severity=problem.severity, object=problem.object, message=problem.message, remedy=problem.remedy)


class Explained(Part):
    """One object that a name means: whether it is in the feed, and why or why not.

    `cause` is an identifier such as `not-ready`, that of `HiddenStatus` or the reason of a removal; `due` is when it
    leaves at the earliest. `key` and `uri` are those of its entry, empty without one.
    """

    object: str
    source: str = ""
    state: Literal["shown", "on-its-way", "leaving", "hidden"]
    cause: str = ""
    reason: str = ""
    remedy: str = ""
    since: datetime | None = None
    due: datetime | None = None
    key: str = ""
    uri: str = ""
    problems: tuple[ProblemStatus, ...] = ()


class UnreadStatus(Part):
    """A source that cannot be read now, so that what is asked for may be there."""

    source: str
    reason: str = ""


class Explanation(Part):
    """What the normalizer answers at `GET /explain?model=NAME`: all that the name means, else names like it."""

    model: str
    found: tuple[Explained, ...] = ()
    near: tuple[str, ...] = ()
    unread: tuple[UnreadStatus, ...] = ()


class ShardStatus(Part):
    """A ConfigMap of the cache: its bytes, how many it gets at most, and how many the API server takes."""

    name: str
    bytes: int
    budget: int
    limit: int


class ReaderStatus(Part):
    """One that reads the feed: when it asked last, and with which HTTP status it was answered; None since the start."""

    id: str
    name: str
    last: datetime | None = None
    answered: int | None = None
    requests: int = 0


class ModelForm(Part):
    """What a model is in one reader: its document's path there, and the catalog entities that become of it."""

    reader: str
    document: str = ""
    entities: tuple[str, ...] = ()


class ModelStatus(Part):
    """A model that is served. `called` are the names to write in a request, `server` its base URL, empty without one.

    `card` is where its documentation is.
    """

    key: str
    title: str
    owner: str = ""
    lifecycle: str = ""
    tags: tuple[str, ...] = ()
    server: str = ""
    called: tuple[str, ...] = ()
    token: bool = False
    card: str = ""
    forms: tuple[ModelForm, ...] = ()
    leaving: str = ""


class ModelsStatus(Part):
    """The models that are served: how many, how many of them match what was asked for, and those of one page."""

    total: int = 0
    deployed: int = 0
    matching: int = 0
    page: int = 1
    pages: int = 1
    items: tuple[ModelStatus, ...] = ()


class NormalizerStatus(Part):
    """What the normalizer answers: sources, what is hidden, leaving or wrong. `leaving` has no keys."""

    version: str
    started: datetime
    conditions: tuple[ConditionStatus, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    hidden: tuple[HiddenStatus, ...] = ()
    leaving: tuple[LeavingStatus, ...] = ()
    problems: tuple[ProblemStatus, ...] = ()
    settings: tuple[SettingStatus, ...] = ()


class StorageStatus(Part):
    """What storage-rest answers. `damage` says what is missing from the cache that was loaded, empty when nothing."""

    version: str
    started: datetime
    conditions: tuple[ConditionStatus, ...] = ()
    documents: int = 0
    cards: int = 0
    complete: bool = False
    damage: str = ""
    shards: tuple[ShardStatus, ...] = ()
    leaving: tuple[LeavingStatus, ...] = ()
    arrivals: tuple[MovementStatus, ...] = ()
    departures: tuple[MovementStatus, ...] = ()
    problems: tuple[ProblemStatus, ...] = ()
    settings: tuple[SettingStatus, ...] = ()


class ServiceStatus(Part):
    """One of the three services: where it was asked and whether it answered, else why not and what to do."""

    name: str
    url: str = ""
    answers: bool
    fault: str = ""
    version: str = ""
    started: datetime | None = None
    conditions: tuple[ConditionStatus, ...] = ()
    settings: tuple[SettingStatus, ...] = ()


class FeedStatus(Part):
    """What is served: whether the feed is complete, else what it waits for."""

    complete: bool
    waiting_for: str = ""
    documents: int = 0
    cards: int = 0


class Verdict(Part):
    """How everything is, in one line, and what to do next where something is wrong."""

    level: Level
    text: str
    remedy: str = ""


class Counts(Part):
    """How many there are of what is named only to whom the feed is readable."""

    models: int = 0
    hidden: int = 0
    leaving: int = 0
    problems: int = 0


class Status(Part):
    """Everything that is known of the connector.

    `names` says whether models, what is wrong with them, and settings are named: to whom the feed is readable.
    """

    at: datetime
    names: bool
    verdict: Verdict
    feed: FeedStatus
    counts: Counts
    services: tuple[ServiceStatus, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    readers: tuple[ReaderStatus, ...] = ()
    shards: tuple[ShardStatus, ...] = ()
    models: ModelsStatus = ModelsStatus()
    hidden: tuple[HiddenStatus, ...] = ()
    leaving: tuple[LeavingStatus, ...] = ()
    arrivals: tuple[MovementStatus, ...] = ()
    departures: tuple[MovementStatus, ...] = ()
    problems: tuple[ProblemStatus, ...] = ()


def moment(seconds: float) -> datetime:
    """Return a time given in seconds of the epoch, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC)


def conditions_of(health: Health) -> tuple[ConditionStatus, ...]:
    """Return the conditions of a service."""
    return tuple(
        ConditionStatus(name=name, ok=each.ok, reason=each.reason, since=moment(each.since))
        for name, each in health.conditions.items()
    )


def settings_of(settings: ServiceSettings) -> tuple[SettingStatus, ...]:
    """Return what a service was told, by the names of its variables."""
    values = ((field, getattr(settings, name)) for name, field in type(settings).model_fields.items())
    return tuple(
        SettingStatus(name=field.alias or "", value=_shown(value), default=value == field.default)
        for field, value in values
    )


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return "set"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g} s" if value > 1 else f"{value:g}"
        case tuple():
            return ", ".join(map(_shown, value))
    return _QUERY.sub("?…", _USER_INFO.sub("", str(value)))
