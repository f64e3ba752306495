"""Answers of the API server, taken for what they must be: another's login page, or half an answer, is an error."""

from typing import Any

from common.http.client import RemoteError, Response
from common.kube.errors import Asked, GarbledAnswer


def read_object(answer: Response, asked: Asked) -> dict[str, Any]:
    """Return the object, or list of objects, in an answer.

    Raises:
        GarbledAnswer: it holds something else.
    """
    try:
        body = answer.json()
    except (RemoteError, RecursionError) as error:
        raise GarbledAnswer(f"cannot {asked}: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
        raise GarbledAnswer(f"cannot {asked}: {answer.url} answered with something that is no object")
    return body


def read_page(answer: Response, asked: Asked) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the items and the metadata of one page; strict, because what a list does not name counts as deleted.

    Raises:
        GarbledAnswer: it is no list, or one without a version.
    """
    body = read_object(answer, asked)
    items = body.get("items", "absent")
    if items is None:
        items = []  # how Go writes a list that has nothing in it
    metadata = body["metadata"]
    is_list = isinstance(items, list) and str(body.get("kind")).endswith("List")
    version, token = metadata.get("resourceVersion"), metadata.get("continue", "")
    if not is_list or not isinstance(version, str) or not version or not isinstance(token, str):
        raise GarbledAnswer(f"cannot {asked}: {answer.url} answered with something that is no list")
    return items, metadata


def read_resource_names(answer: Response, asked: Asked) -> set[str]:
    """Return the plural names in a list of resource types (APIResourceList).

    Raises:
        GarbledAnswer: it is something else.
    """
    try:
        body = answer.json()
    except (RemoteError, RecursionError) as error:
        raise GarbledAnswer(f"cannot {asked}: {error}") from error
    if not isinstance(body, dict) or body.get("kind") != "APIResourceList":
        raise GarbledAnswer(f"cannot {asked}: {answer.url} answered with something that is no list of resources")
    resources = body.get("resources")
    names = (entry.get("name") for entry in resources if isinstance(entry, dict)) if isinstance(resources, list) else ()
    return {name for name in names if isinstance(name, str)}
