"""The answers to `GET /status` of the normalizer and storage-rest, and the parts that all three services report.

They are pydantic models: JSON field names are in camelCase, times in RFC 3339 (UTC). The answer of another version is
accepted: unknown fields are ignored, absent ones have defaults.
"""

import re
from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.alias_generators import to_camel

from common.health import Health
from common.problems import Problem
from common.settings import ServiceSettings

_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(?<=\w)\?[^\s,]+")


class StatusModel(BaseModel):
    """An answer to `GET /status`, or a part of it."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="ignore", frozen=True, populate_by_name=True, serialize_by_alias=True
    )

    def encode(self) -> bytes:
        """Return the model as JSON."""
        return self.model_dump_json().encode()


class ConditionStatus(StatusModel):
    """A condition of `/readyz`; the reason of a condition that holds is a remark."""

    name: str
    ok: bool
    reason: str = ""
    since: datetime


class SettingStatus(StatusModel):
    """A setting in effect; the value of a secret is `set` or empty, credentials in URLs are left out."""

    name: str
    value: str
    default: bool


class SourceStatus(StatusModel):
    """A source of models.

    `last_look`: when it was last read completely. `stale`: its models may be out of date, because it cannot be read
    now. `shown` and `leaving` count its objects. `reason` says why it cannot be read, and what to do.
    """

    id: str
    kind: str
    ok: bool
    last_look: datetime | None = None
    stale: bool = False
    shown: int = 0
    leaving: int = 0
    reason: str = ""


class HiddenStatus(StatusModel):
    """A model that exists but is not shown: why, and how to show it; `cause` is an identifier such as `stopped`."""

    object: str
    source: str = ""
    cause: str
    reason: str = ""
    remedy: str = ""
    since: datetime | None = None


class LeavingStatus(StatusModel):
    """A model that is about to leave.

    `due` is when it leaves at the earliest; None if that is unknown or an administrator has refused the removal
    (`refused`). While its mark is not stored yet, `key` and the commands are empty.
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


class MovementStatus(StatusModel):
    """A model that was added, or removed for a reason."""

    key: str
    object: str = ""
    source: str = ""
    reason: str = ""
    at: datetime


class ProblemStatus(StatusModel):
    """A problem with an object, and what to do."""

    severity: Literal["error", "warning", "info"]
    object: str
    message: str
    remedy: str = ""

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Return the status of a recorded problem."""
        return cls(severity=problem.severity, object=problem.object, message=problem.message, remedy=problem.remedy)


class Explained(StatusModel):
    """An object with the name that was asked for: whether it is in the feed, and why or why not.

    `cause` is an identifier such as `not-ready`: that of `HiddenStatus`, or the reason of a removal. `due` is when it
    leaves at the earliest. `key` and `uri` belong to its entry, and are empty without one.
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


class UnreadStatus(StatusModel):
    """A source that cannot be read now, and may contain the model that was asked for."""

    source: str
    reason: str = ""


class Explanation(StatusModel):
    """The normalizer's answer to `GET /explain?model=NAME`: every object with that name, else similar names."""

    model: str
    found: tuple[Explained, ...] = ()
    near: tuple[str, ...] = ()
    unread: tuple[UnreadStatus, ...] = ()


class ShardStatus(StatusModel):
    """A ConfigMap of the cache: its bytes, how far the connector fills it, and the limit of the API server."""

    name: str
    bytes: int
    budget: int
    limit: int


class NormalizerStatus(StatusModel):
    """The normalizer's status: sources, hidden models, models about to leave (without keys), and problems."""

    version: str
    started: datetime
    conditions: tuple[ConditionStatus, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    hidden: tuple[HiddenStatus, ...] = ()
    leaving: tuple[LeavingStatus, ...] = ()
    problems: tuple[ProblemStatus, ...] = ()
    settings: tuple[SettingStatus, ...] = ()


class StorageStatus(StatusModel):
    """The status of storage-rest. `damage` says what is missing from the loaded cache; empty if nothing is."""

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


def moment(seconds: float) -> datetime:
    """Return a time in seconds since the epoch as a datetime in UTC, without fractions of a second."""
    return datetime.fromtimestamp(int(seconds), UTC)


def conditions_of(health: Health) -> tuple[ConditionStatus, ...]:
    """Return the conditions of a service."""
    return tuple(
        ConditionStatus(name=name, ok=each.ok, reason=each.reason, since=moment(each.since))
        for name, each in health.conditions.items()
    )


def settings_of(settings: ServiceSettings) -> tuple[SettingStatus, ...]:
    """Return the settings of a service, by the names of their variables."""
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
