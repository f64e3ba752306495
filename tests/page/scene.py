"""Made-up connectors for the status page: one where all is well, one in trouble, one with hostile names."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import aiohttp

from common.details import Details
from common.health import Health
from common.http.access import AccessPolicy
from common.http.addresses import Address
from common.http.server import listening
from common.metrics import Metrics
from common.secrets import StaticToken
from common.status import (
    ConditionStatus,
    HiddenStatus,
    LeavingStatus,
    MovementStatus,
    NormalizerStatus,
    ProblemStatus,
    SettingStatus,
    ShardStatus,
    SourceStatus,
    StorageStatus,
)
from common.wire import Changes, Upsert
from services.location.app import create_location_app
from services.location.delivery import prepare
from services.location.settings import LocationSettings
from services.location.shelf import Shelf
from services.location.status.neighbours import Neighbours, in_process
from services.location.status.routes import OPEN_PATHS
from tests.location.world import KINDS, document

NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
BEGAN = NOW - timedelta(days=3)
HOSTILE = """<script>document.title = "run"</script>"><img src=x onerror="document.title='run'">&lt;b&gt;'"""


def before(**time: float) -> datetime:
    """Some time before the scene."""
    return NOW - timedelta(**time)


SOURCES = (
    SourceStatus(id="kserve", kind="kserve", ok=True, last_look=before(seconds=12), shown=8),
    SourceStatus(id="kserve-llm", kind="llm", ok=True, last_look=before(seconds=12), shown=1),
    SourceStatus(
        id="registry:rhoai-model-registries/default-registry",
        kind="registry",
        ok=True,
        last_look=before(seconds=70),
        shown=2,
    ),
)
SETTINGS = (
    SettingStatus(name="token", value="set", default=False),
    SettingStatus(name="WATCH_NAMESPACES", value="ai, demo", default=False),
    SettingStatus(name="POLLING_INTERVAL", value="120 s", default=True),
)
SHARDS = (
    ShardStatus(name="bac-import-model", bytes=61_440, budget=122_880, limit=1_048_576),
    ShardStatus(name="bac-import-model-cards", bytes=12_288, budget=122_880, limit=1_048_576),
)
ARRIVALS = tuple(MovementStatus(key=kind.key, at=before(hours=number + 1)) for number, kind in enumerate(KINDS[:4]))

WELL = (
    NormalizerStatus(
        version="0.1.0",
        started=BEGAN,
        sources=SOURCES,
        hidden=(
            HiddenStatus(
                object="InferenceService ai/whisper",
                cause="stopped",
                reason="it is stopped by the annotation serving.kserve.io/stop",
                remedy="remove the annotation, or start it in the dashboard",
            ),
        ),
        settings=SETTINGS,
    ),
    StorageStatus(version="0.1.0", started=BEGAN, documents=9, complete=True, shards=SHARDS, arrivals=ARRIVALS),
)
REGISTRY_FAULT = (
    "forbidden: 403 from https://default-registry.rhoai-model-registries.svc:8443; bind the role "
    "registry-user-default-registry to the connector's account: deploy/rbac/overlays/rhoai/registries.yaml"
)
TROUBLED = (
    WELL[0].model_copy(
        update={
            "sources": (
                SOURCES[0].model_copy(update={"leaving": 1}),
                SOURCES[1],
                SOURCES[2].model_copy(
                    update={"ok": False, "stale": True, "last_look": before(hours=5), "reason": REGISTRY_FAULT}
                ),
            ),
            "conditions": (
                ConditionStatus(name=SOURCES[2].id, ok=False, reason=REGISTRY_FAULT, since=before(hours=5)),
            ),
            "problems": (
                ProblemStatus(
                    severity="warning",
                    object="InferenceService ai/fraud",
                    message="its owner 'Payments & Risk' is not a valid reference, and is shown as payments-risk",
                    remedy="write group:default/payments-risk into the annotation rhdh.io/owner",
                ),
            ),
        }
    ),
    WELL[1].model_copy(
        update={
            "leaving": (
                LeavingStatus(
                    key="world_instances",
                    object="isvc:local:ai/iris",
                    reason="not-listed",
                    since=before(minutes=20),
                    due=NOW + timedelta(minutes=40),
                    confirm="connector removals confirm world_instances",
                    refuse="connector removals refuse world_instances",
                ),
            ),
            "departures": (MovementStatus(key="ai_churn-2", reason="deleted", at=before(hours=2)),),
        }
    ),
)


@dataclass
class Scene:
    """A location with made-up neighbours; `now` is what its clock shows, seconds of the epoch."""

    shelf: Shelf
    normalizer: NormalizerStatus
    storage: StorageStatus
    now: float = NOW.timestamp()
    url: str = ""

    def fill(self, *upserts: Upsert, complete: bool = True) -> None:
        """Serve exactly these."""
        cards = {upsert.card_key: "# A card" for upsert in upserts if upsert.card_key}
        changes = Changes(revision="a-1", complete=complete, upserts=upserts, cards=cards)
        self.shelf.apply(prepare(changes, whole=True))


@asynccontextmanager
async def scene(normalizer: NormalizerStatus, storage: StorageStatus) -> AsyncIterator[Scene]:
    """Run the location of a scene that serves the models of the world, and that one reader has read."""
    health = Health(clock=BEGAN.timestamp)
    shelf = Shelf(health=health, clock=BEGAN.timestamp)
    staged = Scene(shelf, normalizer, storage)
    staged.fill(*(kind.upsert() for kind in KINDS))
    app = create_location_app(
        shelf=shelf,
        metrics=Metrics("location", "test"),
        health=health,
        access=AccessPolicy(token=StaticToken("token"), open_paths=OPEN_PATHS),
        neighbours=Neighbours(
            in_process("rhoai-normalizer", lambda: staged.normalizer),
            in_process("storage-rest", lambda: staged.storage),
        ),
        settings=LocationSettings(token=None),
        clock=lambda: staged.now,
    )
    async with AsyncExitStack() as stack:
        (address,) = await stack.enter_async_context(listening(app, [Address("127.0.0.1", 0)], grace=1))
        staged.url = f"http://127.0.0.1:{address.port}"
        staged.now = before(seconds=40).timestamp()
        async with aiohttp.ClientSession() as http, http.get(f"{staged.url}/list"):
            staged.now = NOW.timestamp()
        yield staged


def hostile_upsert() -> Upsert:
    """An entry whose every text tries to be mark-up."""
    shown = document("fine", called=HOSTILE, about=HOSTILE, tags=("kserve",), annotations={"TechDocs": HOSTILE})
    named = KINDS[0].upsert()
    details = Details(title=HOSTILE, owner="group:default/a", names=(HOSTILE,), server_type="openai-v1")
    return replace(named, key="hostile_1", body=json.dumps(shown).encode(), details=details.encode(), card_key="")


def hostile() -> tuple[NormalizerStatus, StorageStatus]:
    """What the neighbours say when people name things so."""
    problem = ProblemStatus(severity="error", object=HOSTILE, message=HOSTILE, remedy=HOSTILE)
    leaving = LeavingStatus(key=HOSTILE, object=HOSTILE, reason=HOSTILE, since=NOW, confirm=HOSTILE, refuse=HOSTILE)
    hidden = HiddenStatus(object=HOSTILE, cause=HOSTILE, reason=HOSTILE, remedy=HOSTILE)
    source = SourceStatus(id=HOSTILE, kind=HOSTILE, ok=False, reason=HOSTILE)
    setting = SettingStatus(name=HOSTILE, value=HOSTILE, default=False)
    moved = MovementStatus(key=HOSTILE, object=HOSTILE, reason=HOSTILE, at=NOW)
    condition = ConditionStatus(name=HOSTILE, ok=False, reason=HOSTILE, since=NOW)
    return (
        WELL[0].model_copy(
            update={
                "problems": (problem,),
                "hidden": (hidden,),
                "sources": (source,),
                "settings": (setting,),
                "conditions": (condition,),
            }
        ),
        WELL[1].model_copy(update={"leaving": (leaving,), "arrivals": (moved,), "departures": (moved,)}),
    )
