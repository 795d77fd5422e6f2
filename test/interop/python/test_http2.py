"""httpx over HTTP/2 as the downstream of published tunnels: another stack than curl's, Node's and the browsers'.

It connects to 127.0.0.1 and names the published host in SNI and in `Host`, which becomes `:authority`. HTTP/1.1 is not offered,
so an engine that did not speak HTTP/2 would be an error and not a quiet success.
"""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from rstream import asgi

from conftest import Connect, Spawn
from support.engine import Engine
from support.upstreams import Upstream

TIMEOUT_SECONDS = 15
PIECE_BYTES = 50_000


@asynccontextmanager
async def http2_client(engine: Engine, hostname: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a single HTTP/2 connection to a published name; the engine's CA is verified."""

    async def name_the_server(request: httpx.Request) -> None:
        request.extensions["sni_hostname"] = hostname

    async with httpx.AsyncClient(
        http1=False,
        http2=True,
        verify=ssl.create_default_context(cafile=str(engine.ca_file)),
        trust_env=False,
        base_url=f"https://127.0.0.1:{engine.port}",
        headers={"Host": hostname},
        event_hooks={"request": [name_the_server]},
        limits=httpx.Limits(max_connections=1),
        timeout=TIMEOUT_SECONDS,
    ) as client:
        yield client


async def publish(connect: Connect, spawn: Spawn, upstream: Upstream, label: str) -> str:
    """Publishes an upstream under a host label; returns its public name."""
    control = await connect()
    tunnel = await control.create_tunnel(protocol="http", http_version="http/1.1", hostname=label)
    spawn(tunnel.forward_to("127.0.0.1", upstream.port))
    return f"{label}.t.localhost"


async def test_one_connection_carries_many_exchanges_at_once(
    engine: Engine, connect: Connect, spawn: Spawn, nginx_upstream: Upstream, label: str
) -> None:
    hostname = await publish(connect, spawn, nginx_upstream, label)
    async with http2_client(engine, hostname) as client:
        answers = await asyncio.gather(*(client.get("/ping") for _ in range(30)))
        assert {(answer.http_version, answer.status_code, answer.text) for answer in answers} == {
            ("HTTP/2", 200, "pong\n")
        }
        head = await client.head("/large.bin")
        assert (head.status_code, head.content) == (200, b"")
        assert (await client.get("/missing")).status_code == 404
        assert (await client.post("/ping", content=b"not wanted")).status_code == 405
        seen = (await client.get("/seen")).text
        assert seen == f"{hostname}|127.0.0.1|https|{hostname}|{engine.port}"


async def test_large_bodies_arrive_whole_in_both_directions(
    engine: Engine, connect: Connect, spawn: Spawn, nginx_upstream: Upstream, site: Path, label: str
) -> None:
    hostname = await publish(connect, spawn, nginx_upstream, label)
    content = (site / "large.bin").read_bytes()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), PIECE_BYTES):
            yield content[start : start + PIECE_BYTES]

    async with http2_client(engine, hostname) as client:
        digest = hashlib.sha256()
        async with client.stream("GET", "/large.bin") as answer:
            async for piece in answer.aiter_bytes():
                digest.update(piece)
        assert digest.digest() == hashlib.sha256(content).digest()
        # Of known length, and of a length that only its end tells.
        for path, body in ((f"/upload/{label}-known", content), (f"/upload/{label}-open", pieces())):
            assert (await client.put(path, content=body)).status_code == 201
            assert (await client.get(path)).content == content


async def test_an_answer_is_read_while_it_is_being_written(
    engine: Engine, connect: Connect, spawn: Spawn, label: str
) -> None:
    has_first = asyncio.Event()

    async def app(scope: dict, receive, send) -> None:
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first " + body, "more_body": True})
        await asyncio.wait_for(has_first.wait(), TIMEOUT_SECONDS)
        await send({"type": "http.response.body", "body": b"second"})

    control = await connect()
    spawn(asgi.serve(app, await control.create_tunnel(hostname=label)))
    async with http2_client(engine, f"{label}.t.localhost") as client:
        async with client.stream("POST", "/", content=b"of two ") as answer:
            parts = answer.aiter_raw()
            assert await anext(parts) == b"first of two "
            has_first.set()
            assert await anext(parts) == b"second"


async def test_an_abandoned_answer_leaves_its_connection_usable(
    engine: Engine, connect: Connect, spawn: Spawn, nginx_upstream: Upstream, label: str
) -> None:
    hostname = await publish(connect, spawn, nginx_upstream, label)
    async with http2_client(engine, hostname) as client:
        async with client.stream("GET", "/large.bin") as answer:
            assert await anext(answer.aiter_raw())
        assert (await client.get("/ping")).text == "pong\n"
