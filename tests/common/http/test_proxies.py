import asyncio
import os

import pytest

from common.http.client import HttpClient
from common.http.errors import Unreachable
from common.http.proxies import proxy_for

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://registry.example.com", {}, None),
        ("https://registry.example.com", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://registry.example.com", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, PROXY),
        ("https://registry.example.com", {"HTTPS_PROXY": "proxy.example.com:3128"}, PROXY),
        ("https://registry.example.com", {"HTTP_PROXY": PROXY}, None),
        ("https://registry.example.com", {"ALL_PROXY": PROXY}, PROXY),
        ("http://registry.example.com", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://registry.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "localhost, .example.com"}, None),
        ("https://registry.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "example.com"}, None),
        ("https://registry.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*.example.com"}, None),
        ("https://registry.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ("https://registry.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "ample.com"}, PROXY),
        ("https://registry.example.com:8443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "example.com:443"}, PROXY),
        ("https://registry.models.svc:8443", {"HTTPS_PROXY": PROXY}, None),
        ("https://registry.models.svc.cluster.local", {"HTTPS_PROXY": PROXY}, None),
        ("https://172.30.0.1:443", {"HTTPS_PROXY": PROXY}, None),
        ("http://[fd00::1]:7070", {"HTTP_PROXY": PROXY}, None),
        ("http://localhost:9090", {"HTTP_PROXY": PROXY}, None),
    ],
)
def test_requests_that_leave_the_cluster_go_through_the_proxy(
    url: str, environ: dict[str, str], proxy: str | None
) -> None:
    assert proxy_for(url, environ) == proxy


async def test_a_client_asks_the_proxy_for_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delitem(os.environ, name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    async with server, HttpClient(name="x", base_url="https://registry.example.com", attempts=1) as client:
        with pytest.raises(Unreachable, match="403"):
            await client.request("GET", "/")
    assert asked == [b"CONNECT registry.example.com:443 HTTP/1.1\r\n"]
