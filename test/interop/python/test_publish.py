"""Published HTTP tunnels: the SDK publishes a real web server, a plain TLS client fetches through the engine."""

import asyncio
import gzip
import hashlib
from datetime import datetime, timezone
from pathlib import Path

import pytest
import rstream
import websockets
from rstream import asgi, wsgi

from conftest import Connect, Spawn
from support.downstream import Downstream, fetch, open_tls
from support.engine import Engine
from support.upstreams import Upstream


async def publish(
    connect: Connect, spawn: Spawn, upstream: Upstream, label: str, **tunnel: object
) -> rstream.BytestreamTunnel:
    """Publishes an upstream under a host label through the SDK's own forwarder."""
    control = await connect()
    opened = await control.create_tunnel(protocol="http", http_version="http/1.1", hostname=label, **tunnel)
    spawn(opened.forward_to("127.0.0.1", upstream.port))
    return opened


async def test_the_forwarding_address_is_the_one_that_works(
    engine: Engine, connect: Connect, spawn: Spawn, python_upstream: Upstream, label: str
) -> None:
    tunnel = await publish(connect, spawn, python_upstream, label)
    assert tunnel.forwarding_address == f"https://{label}.t.localhost:{engine.port}"
    answer = await fetch(engine, f"{label}.t.localhost")
    assert (answer.status, answer.body) == (200, b"pong\n")


async def test_the_reply_carries_every_resolved_property(engine: Engine, connect: Connect, label: str) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(name=label, hostname=label, labels={"team": "interop"}, token_auth=False)
    properties = tunnel.properties
    assert properties.id
    assert properties.creation_date is not None
    created = properties.creation_date
    created = created if created.tzinfo else created.replace(tzinfo=timezone.utc)
    assert abs((datetime.now(timezone.utc) - created).total_seconds()) < 60
    assert (properties.name, properties.labels) == (label, {"team": "interop"})
    assert (properties.type, properties.protocol, properties.publish) == ("bytestream", "http", True)
    assert properties.http_version == "http/1.1"
    assert (properties.hostname, properties.port) == (f"{label}.t.localhost", engine.port)
    assert properties.host == f"{label}.t.localhost:{engine.port}"


async def test_a_tunnel_without_a_hostname_gets_one_that_works(
    engine: Engine, connect: Connect, spawn: Spawn, python_upstream: Upstream
) -> None:
    control = await connect()
    tunnel = await control.create_tunnel()
    spawn(tunnel.forward_to("127.0.0.1", python_upstream.port))
    hostname = tunnel.properties.hostname
    assert hostname is not None and hostname.endswith(".t.localhost")
    assert (await fetch(engine, hostname)).body == b"pong\n"


async def test_both_spellings_of_a_hostname_mean_the_same(connect: Connect, label: str) -> None:
    control = await connect()
    whole = await control.create_tunnel(hostname=f"{label}.t.localhost")
    assert whole.properties.hostname == f"{label}.t.localhost"
    with pytest.raises(rstream.EngineError) as refused:
        await (await connect()).create_tunnel(hostname=label)
    assert refused.value.engine_code == 8000


async def test_paths_and_trailing_slashes_pass_unchanged(
    engine: Engine, connect: Connect, spawn: Spawn, python_upstream: Upstream, label: str
) -> None:
    await publish(connect, spawn, python_upstream, label)
    hostname = f"{label}.t.localhost"
    redirect = await fetch(engine, hostname, "/directory")
    assert (redirect.status, redirect.headers["location"]) == (301, "/directory/")
    assert (await fetch(engine, hostname, "/directory/")).body == b"directory\n"
    assert (await fetch(engine, hostname, "/no%20such%2Ffile?x=1&x=2")).status == 404


async def test_one_downstream_connection_carries_many_exchanges(
    engine: Engine, connect: Connect, spawn: Spawn, nginx_upstream: Upstream, label: str
) -> None:
    await publish(connect, spawn, nginx_upstream, label)
    downstream = Downstream(engine, f"{label}.t.localhost")
    try:
        for _ in range(20):
            answer = await downstream.fetch("/ping")
            assert (answer.status, answer.body) == (200, b"pong\n")
        head = await downstream.fetch("/large.bin", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        part = await downstream.fetch("/large.bin", headers={"Range": "bytes=1000-1999"})
        assert (part.status, len(part.body)) == (206, 1000)
        assert (await downstream.fetch("/missing")).status == 404
        assert (await downstream.fetch("/ping")).body == b"pong\n"
    finally:
        downstream.close()


async def test_chunked_and_large_bodies_arrive_whole(
    engine: Engine, connect: Connect, spawn: Spawn, nginx_upstream: Upstream, site: Path, label: str
) -> None:
    await publish(connect, spawn, nginx_upstream, label)
    downstream = Downstream(engine, f"{label}.t.localhost")
    try:
        chunked = await downstream.fetch("/text.txt", headers={"Accept-Encoding": "gzip"})
        assert (chunked.headers["content-encoding"], chunked.headers["transfer-encoding"]) == ("gzip", "chunked")
        assert gzip.decompress(chunked.body) == (site / "text.txt").read_bytes()
        large = await downstream.fetch("/large.bin")
        assert hashlib.sha256(large.body).digest() == hashlib.sha256((site / "large.bin").read_bytes()).digest()
    finally:
        downstream.close()


async def test_uploads_arrive_whole(
    engine: Engine, connect: Connect, spawn: Spawn, nginx_upstream: Upstream, site: Path, label: str
) -> None:
    await publish(connect, spawn, nginx_upstream, label)
    hostname, content = f"{label}.t.localhost", (site / "large.bin").read_bytes()
    stored = await fetch(engine, hostname, f"/upload/{label}", method="PUT", body=content)
    assert stored.status == 201
    assert (await fetch(engine, hostname, f"/upload/{label}")).body == content


async def test_expect_100_continue_reaches_the_upstream_and_back(
    engine: Engine, connect: Connect, spawn: Spawn, nginx_upstream: Upstream, label: str
) -> None:
    await publish(connect, spawn, nginx_upstream, label)

    def upload() -> tuple[bytes, bytes]:
        with open_tls(engine, f"{label}.t.localhost") as connection, connection.makefile("rb") as reader:
            head = f"PUT /upload/{label} HTTP/1.1\r\nHost: {label}.t.localhost\r\nContent-Length: 5\r\n"
            connection.sendall(f"{head}Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
            interim = reader.readline()
            reader.readline()
            connection.sendall(b"hello")
            return interim, reader.readline()

    interim, final = await asyncio.to_thread(upload)
    assert interim.startswith(b"HTTP/1.1 100 ")
    assert final.startswith(b"HTTP/1.1 201 ")


async def test_the_upstream_sees_who_asked_and_for_what(
    engine: Engine, connect: Connect, spawn: Spawn, nginx_upstream: Upstream, label: str
) -> None:
    await publish(connect, spawn, nginx_upstream, label)
    authority = f"{label}.t.localhost:{engine.port}"
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "ftp", "X-Forwarded-Host": "evil.example"}
    seen = await fetch(engine, f"{label}.t.localhost", "/seen", headers=forged)
    host, source, protocol, forwarded_host, forwarded_port = seen.body.decode().split("|")
    assert (host, source, protocol) == (authority, "127.0.0.1", "https")
    assert forwarded_host.startswith(f"{label}.t.localhost")
    assert forwarded_port == str(engine.port)


async def test_two_tunnels_of_one_channel_reach_their_own_upstreams(
    engine: Engine, connect: Connect, spawn: Spawn, python_upstream: Upstream, nginx_upstream: Upstream, label: str
) -> None:
    control = await connect()
    for name, upstream in ((f"{label}-python", python_upstream), (f"{label}-nginx", nginx_upstream)):
        tunnel = await control.create_tunnel(name=name, hostname=name)
        spawn(tunnel.forward_to("127.0.0.1", upstream.port))
    names = [f"{label}-python", f"{label}-nginx"] * 8
    answers = await asyncio.gather(*(fetch(engine, f"{name}.t.localhost", "/ping") for name in names))
    assert {answer.body for answer in answers} == {b"pong\n"}
    servers = [answer.headers["server"].split("/")[0].lower() for answer in answers]
    assert servers == ["simplehttp", "nginx"] * 8


async def test_the_sdks_wsgi_and_asgi_bridges_serve_through_the_engine(
    engine: Engine, connect: Connect, spawn: Spawn, label: str
) -> None:
    def wsgi_app(environ: dict, start_response) -> list[bytes]:
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["REQUEST_METHOD"].encode(), b" ", body]

    async def asgi_app(scope: dict, receive, send) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 202, "headers": [(b"x-path", scope["path"].encode())]})
        await send({"type": "http.response.body", "body": body})

    control = await connect()
    spawn(wsgi.serve(wsgi_app, await control.create_tunnel(hostname=f"{label}-wsgi")))
    spawn(asgi.serve(asgi_app, await control.create_tunnel(hostname=f"{label}-asgi")))
    first = await fetch(engine, f"{label}-wsgi.t.localhost", "/", method="POST", body=b"in full")
    assert (first.status, first.body) == (200, b"POST in full")
    second = await fetch(engine, f"{label}-asgi.t.localhost", "/a/b", method="POST", body=b"in full")
    assert (second.status, second.headers["x-path"], second.body) == (202, "/a/b", b"in full")


async def test_a_websocket_passes_in_both_directions(
    engine: Engine, connect: Connect, spawn: Spawn, label: str
) -> None:
    async def answer(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(answer, "127.0.0.1", 0) as server:
        await publish(connect, spawn, Upstream(server.sockets[0].getsockname()[1]), label)
        context = rstream.config.create_ssl_context(engine.address, rstream.TLSOptions(ca_file=str(engine.ca_file)))[0]
        context.set_alpn_protocols(["http/1.1"])
        url = f"wss://{label}.t.localhost:{engine.port}/echo"
        async with websockets.connect(url, host="127.0.0.1", port=engine.port, ssl=context) as downstream:
            for message in ("hello-ws", b"\x00\x01\x02" * 50_000):
                await downstream.send(message)
                assert await downstream.recv() == message


async def test_an_agent_that_hangs_up_without_an_answer_is_a_502(
    engine: Engine, connect: Connect, spawn: Spawn, label: str
) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(hostname=label)

    async def hang_up() -> None:
        async for stream in tunnel:
            stream.close()

    spawn(hang_up())
    assert (await fetch(engine, f"{label}.t.localhost")).status == 502
