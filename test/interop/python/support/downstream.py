"""A downstream that knows nothing of rstream: plain HTTP/1.1 over TLS.

It connects to 127.0.0.1 and names the published host in SNI and in `Host`, because getaddrinfo does not resolve
`*.t.localhost` everywhere. The engine's CA is verified, so a certificate that does not cover the name is a failure.
"""

import asyncio
import functools
import http.client
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from support.engine import Engine

TIMEOUT_SECONDS = 15
# Not the event loop's own threads: the agent's name look-ups run there, and would wait for the fetches that wait for it.
THREADS = ThreadPoolExecutor(32, "downstream")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def open_tls(engine: Engine, hostname: str) -> ssl.SSLSocket:
    """A TLS connection to the engine's port for a published name."""
    context = ssl.create_default_context(cafile=str(engine.ca_file))
    context.set_alpn_protocols(["http/1.1"])
    raw = socket.create_connection(("127.0.0.1", engine.port), timeout=TIMEOUT_SECONDS)
    try:
        return context.wrap_socket(raw, server_hostname=hostname)
    except BaseException:
        raw.close()
        raise


class Downstream(http.client.HTTPConnection):
    """One keep-alive connection; it never reconnects by itself, so a connection that the engine closed shows."""

    auto_open = 0

    def __init__(self, engine: Engine, hostname: str) -> None:
        super().__init__(hostname, engine.port, timeout=TIMEOUT_SECONDS)
        self._engine = engine

    def connect(self) -> None:
        self.sock = open_tls(self._engine, self.host)

    async def fetch(
        self, path: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One exchange, in a thread: the SDK's agent runs in the event loop of the same test."""
        exchange = functools.partial(self._exchange, method, path, body, headers or {})
        return await asyncio.get_running_loop().run_in_executor(THREADS, exchange)

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        if self.sock is None:
            self.connect()
        self.request(method, path, body=body, headers=dict(headers))
        response = self.getresponse()
        return Answer(response.status, response.headers, response.read())


async def fetch(engine: Engine, hostname: str, path: str = "/ping", **options: object) -> Answer:
    """One exchange on a connection of its own."""
    connection = Downstream(engine, hostname)
    try:
        return await connection.fetch(path, **options)
    finally:
        connection.close()
