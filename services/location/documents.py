"""What a document must be so that no reader of the feed chokes on it.

The first-generation reader gives up its whole round, for all models, on one document that it cannot walk through:
`models` missing, a name empty, `tags` or `annotations` or `API` null, a tag that is no string. Such a document is
refused here. What costs only its own entity (a bad tag, a link that is none) passes: our normalizer mends it before,
and what other writers send is not ours to judge.
"""

from typing import Any

from common import strict_json


class Refused(ValueError):
    """A document, key or URI that is not taken into the feed; the text says why."""


def check(body: bytes) -> None:
    """Let a document pass that every reader can walk through.

    Raises:
        Refused: naming the first fault.
    """
    try:
        document = strict_json.parse_object(body)
        models = strict_json.items(document, "models")
        if not models:
            raise Refused("the document has no models")
        for number, model in enumerate(models):
            _check_part(strict_json.as_object(model, f"models[{number}]"), f"models[{number}]")
        if document.get("modelServer") is not None:
            _check_server(strict_json.as_object(document["modelServer"], "modelServer"))
    except strict_json.JsonError as error:
        raise Refused(f"the document cannot be used: {error}") from None


def _check_server(server: dict[str, Any]) -> None:
    _check_part(server, "modelServer")
    if "API" in server:
        api = strict_json.as_object(server["API"], "modelServer.API")
        _check_collections(api, "modelServer.API")


def _check_part(part: dict[str, Any], where: str) -> None:
    name = part.get("name")
    if not isinstance(name, str) or not name.strip():
        raise Refused(f"{where}.name must be a string that is not empty")
    _check_collections(part, where)


def _check_collections(part: dict[str, Any], where: str) -> None:
    tags = part.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Refused(f"{where}.tags must be a list of strings, or absent")
    annotations = part.get("annotations", {})
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise Refused(f"{where}.annotations must map to strings, or be absent")
