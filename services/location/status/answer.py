"""The answer to `GET /status` of location, the status of the whole connector, as pydantic models.

docs/status.schema.json is generated from `Status`. The parts that the other services report are in common/status.py.
"""

from datetime import datetime
from typing import Literal

from common.status import (
    ConditionStatus,
    HiddenStatus,
    LeavingStatus,
    MovementStatus,
    ProblemStatus,
    SettingStatus,
    ShardStatus,
    SourceStatus,
    StatusModel,
)

Level = Literal["ok", "warning", "error"]
"""`warning`: people should look at it; `error`: something is not served or cannot be kept up to date."""


class ReaderStatus(StatusModel):
    """A reader of the feed: its last request since the start and the HTTP status of the answer, None without one."""

    id: str
    name: str
    last: datetime | None = None
    answered: int | None = None
    requests: int = 0


class ModelForm(StatusModel):
    """A model in one reader: the path of its document, and the catalog entities that are made of it."""

    reader: str
    document: str = ""
    entities: tuple[str, ...] = ()


class ModelStatus(StatusModel):
    """A model that is served.

    `called` are the model names that a request may contain, `server` is its base URL (empty without one), `card` the
    address of its documentation.
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


class ModelsStatus(StatusModel):
    """The models that are served: their number, how many match the query, and one page of those."""

    total: int = 0
    deployed: int = 0
    matching: int = 0
    page: int = 1
    pages: int = 1
    items: tuple[ModelStatus, ...] = ()


class ServiceStatus(StatusModel):
    """One of the three services: its address, whether it answers, and otherwise why not and what to do."""

    name: str
    url: str = ""
    answers: bool
    fault: str = ""
    version: str = ""
    started: datetime | None = None
    conditions: tuple[ConditionStatus, ...] = ()
    settings: tuple[SettingStatus, ...] = ()


class FeedStatus(StatusModel):
    """The feed: whether it is complete, and otherwise what it waits for."""

    complete: bool
    waiting_for: str = ""
    documents: int = 0
    cards: int = 0


class Verdict(StatusModel):
    """The state of the connector in one line, and what to do if something is wrong."""

    level: Level
    text: str
    remedy: str = ""


class Counts(StatusModel):
    """Numbers of models and problems, for those who may not see their names."""

    models: int = 0
    hidden: int = 0
    leaving: int = 0
    problems: int = 0


class Status(StatusModel):
    """The status of the whole connector.

    `names`: models, their problems, and settings are included, because the request may read the feed.
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
