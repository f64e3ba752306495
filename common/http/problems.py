"""HTTP errors as `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

CONTENT_TYPE = "application/problem+json"


class HttpProblem(Exception):
    """An error that a handler raises and the server sends as the answer.

    `detail` tells the client what is wrong and what to do; `extensions` are additional fields of the body.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions

    def response(self, *, instance: str, request_id: str) -> web.Response:
        """Return the answer; `instance` is the path of the request."""
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "requestId": request_id,
            **self.extensions,
        }
        return web.Response(
            status=self.status,
            body=json.dumps(body).encode(),
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )
