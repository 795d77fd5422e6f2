"""Raw tunnels of the SDK: TLS in its three forms, and TCP; what the official test suites ask of them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import rstream

from conftest import Connect, Spawn
from support.agent import serve_echo
from support.certificate import Certificate, self_signed
from support.engine import Engine

ALPN = "interop-echo"
WAIT_SECONDS = 15


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What an upstream with TLS of its own shows: nobody knows its issuer."""
    return self_signed(tmp_path_factory.mktemp("certificate"), "localhost")


@asynccontextmanager
async def tls_echo(certificate: Certificate) -> AsyncIterator[int]:
    """A TLS server that echoes; it insists on the protocol."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    context.set_alpn_protocols([ALPN])

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def echo_over_tls(
    engine: Engine, hostname: str, ca_file: Path, *, alpn: str | None = ALPN, server_name: str | None = None
) -> str | None:
    """A round trip; returns the protocol that was agreed on."""
    context = ssl.create_default_context(cafile=str(ca_file))
    if server_name is not None:
        # The upstream's own certificate names it as nobody on the way does.
        context.check_hostname = False
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection("127.0.0.1", engine.port, ssl=context, server_hostname=hostname), WAIT_SECONDS
    )
    payload = b"over tls " * 50_000
    writer.write(payload)
    assert await asyncio.wait_for(reader.readexactly(len(payload)), WAIT_SECONDS) == payload
    agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    writer.close()
    return agreed


async def test_tls_terminated_by_the_engine(engine: Engine, connect: Connect, spawn: Spawn, label: str) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(protocol="tls", hostname=label, tls_mode="terminated", tls_alpns=[ALPN])
    assert tunnel.forwarding_address == f"{label}.t.localhost:{engine.port} (tls)"
    spawn(serve_echo(tunnel))
    assert await echo_over_tls(engine, f"{label}.t.localhost", engine.ca_file) == ALPN


async def test_tls_terminated_refuses_another_protocol(engine: Engine, connect: Connect, label: str) -> None:
    control = await connect()
    await control.create_tunnel(protocol="tls", hostname=label, tls_mode="terminated", tls_alpns=[ALPN])
    with pytest.raises(ssl.SSLError):
        await echo_over_tls(engine, f"{label}.t.localhost", engine.ca_file, alpn="interop-wrong")


async def test_tls_terminated_and_encrypted_again(
    engine: Engine, connect: Connect, spawn: Spawn, label: str, own_certificate: Certificate
) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(
        protocol="tls", hostname=label, tls_mode="terminated", tls_alpns=[ALPN], upstream_tls=True
    )
    async with tls_echo(own_certificate) as port:
        spawn(tunnel.forward_to("127.0.0.1", port))
        assert await echo_over_tls(engine, f"{label}.t.localhost", engine.ca_file) == ALPN


async def test_tls_passed_through_to_the_upstream(
    engine: Engine, connect: Connect, spawn: Spawn, label: str, own_certificate: Certificate
) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(protocol="tls", hostname=label, tls_mode="passthrough")
    async with tls_echo(own_certificate) as port:
        spawn(tunnel.forward_to("127.0.0.1", port))
        agreed = await echo_over_tls(
            engine, f"{label}.t.localhost", own_certificate.cert_file, server_name="localhost"
        )
        assert agreed == ALPN


async def test_tcp_on_a_port_of_its_own(engine: Engine, connect: Connect, spawn: Spawn) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(protocol="tcp")
    properties = tunnel.properties
    assert properties.hostname == "localhost" and properties.port is not None
    assert tunnel.forwarding_address == f"localhost:{properties.port} (tcp)"
    spawn(serve_echo(tunnel))
    reader, writer = await asyncio.open_connection("127.0.0.1", properties.port)
    # No half-close: asyncio's TLS, on which the agent runs, cannot write after the end of what it reads.
    writer.write(b"over tcp")
    assert await asyncio.wait_for(reader.readexactly(8), WAIT_SECONDS) == b"over tcp"
    writer.close()


async def test_a_tcp_port_in_use_is_a_conflict(engine: Engine, connect: Connect) -> None:
    control = await connect()
    port = (await control.create_tunnel(protocol="tcp")).properties.port
    async with engine.client(token=engine.create_token(f"rival-{port}")) as client:
        rival = await client.connect()
        with pytest.raises(rstream.EngineError, match="TCP port is already in use."):
            await rival.create_tunnel(protocol="tcp", port=port)


async def test_a_private_http_tunnel_is_spoken_http_to(
    engine: Engine, connect: Connect, spawn: Spawn, label: str, python_upstream: object
) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(name=label, publish=False, protocol="http", http_version="http/1.1")
    spawn(tunnel.forward_to("127.0.0.1", python_upstream.port))  # type: ignore[attr-defined]
    async with engine.client() as client, await client.dial(label) as stream:
        stream.write(b"GET /ping HTTP/1.1\r\nHost: any.name\r\nConnection: close\r\n\r\n")
        await stream.drain()
        answer = await asyncio.wait_for(stream.read(), WAIT_SECONDS)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"pong\n")
