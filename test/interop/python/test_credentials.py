"""Credentials of every kind, as the SDK presents them: client certificates, app tokens, auth tokens, and their end."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import rstream

from conftest import Connect, Spawn
from support.agent import echo, serve_echo
from support.engine import NODE, Engine, cli

UNAUTHORIZED = 1000
WAIT_SECONDS = 15
READ, TUNNELS = "tunnels.resources.read-only", "tunnels.tunnels.create-delete"


def issue_certificate(engine: Engine, name: str, directory: Path) -> rstream.TLSOptions:
    """A client certificate from the engine's local CA, registered; the SDK's options that show it."""
    flags = ["--config", str(engine.config), "--name", name, "--days", "1", "--out", str(directory)]
    cli("cert", "issue-client", *flags)
    return rstream.TLSOptions(
        ca_file=str(engine.ca_file),
        cert_file=str(directory / f"{name}.pem"),
        key_file=str(directory / f"{name}-key.pem"),
    )


def app_token(credentials: dict[str, str], permissions: list[str] | None) -> str:
    """What an application signs with its client secret."""
    order = {
        "clientId": credentials["client_id"],
        "clientSecret": credentials["client_secret"],
        "permissions": permissions,
        "seconds": 60,
    }
    script = Path(__file__).parent / "support" / "app-token.mjs"
    done = subprocess.run(
        [NODE, str(script)], input=json.dumps(order), capture_output=True, text=True, timeout=WAIT_SECONDS, check=True
    )
    return done.stdout


@asynccontextmanager
async def certified(engine: Engine, tls: rstream.TLSOptions) -> AsyncIterator[rstream.Client]:
    async with engine.client(token=None, no_token=True, tls=tls) as client:
        yield client


async def test_an_agent_with_a_certificate_needs_no_token(
    engine: Engine, connect: Connect, spawn: Spawn, label: str, tmp_path: Path
) -> None:
    tls = issue_certificate(engine, label, tmp_path)
    control = await connect(token=None, no_token=True, tls=tls)
    spawn(serve_echo(await control.create_tunnel(name=label, publish=False)))
    async with certified(engine, tls) as client:
        async with await client.dial(label, zero_rtt=False) as stream:
            stream.write(b"hello")
            await stream.drain()
            assert await asyncio.wait_for(stream.readexactly(5), WAIT_SECONDS) == b"hello"


async def test_a_certificate_that_nobody_registered_is_unauthorized(
    engine: Engine, label: str, tmp_path: Path
) -> None:
    tls = issue_certificate(engine, label, tmp_path)
    cli("cert", "revoke", label, "--config", str(engine.config))
    async with certified(engine, tls) as client:
        with pytest.raises(rstream.EngineError) as refused:
            await client.connect()
    assert refused.value.engine_code == UNAUTHORIZED


async def test_an_app_token_does_what_both_its_application_and_it_allow(
    engine: Engine, connect: Connect, label: str
) -> None:
    flags = ["--config", str(engine.config), "--name", label, "--json", "--permission", READ, "--permission", TUNNELS]
    credentials = json.loads(cli("app", "create", *flags))
    control = await connect(token=app_token(credentials, None))
    await control.create_tunnel(name=label, publish=False)
    async with engine.client(token=app_token(credentials, [READ])) as reader:
        assert [item.properties.name for item in await reader.list_tunnels(filters=rstream.TunnelFilters(name=label))]
        with pytest.raises(rstream.EngineError) as refused:
            await reader.connect()
        assert refused.value.engine_code == UNAUTHORIZED


async def test_an_auth_token_opens_tunnels_on_behalf_of_its_source(
    engine: Engine, connect: Connect, label: str
) -> None:
    engine.create_token(label)
    flags = ["--config", str(engine.config), "--kind", "auth", "--source", label, "--quiet"]
    control = await connect(token=cli("token", "create", *flags).strip())
    assert (await control.create_tunnel(name=label, publish=False)).id


@pytest.mark.parametrize("kind", ["token", "cert"])
async def test_revocation_cuts_an_agent_and_its_streams(
    engine: Engine, label: str, tmp_path: Path, kind: str
) -> None:
    if kind == "cert":
        client = engine.client(token=None, no_token=True, tls=issue_certificate(engine, label, tmp_path))
    else:
        client = engine.client(token=engine.create_token(label))
    async with client, engine.client() as dialler:
        tunnel = await (await client.connect()).create_tunnel(name=label, publish=False)
        serving = asyncio.ensure_future(echo_first(tunnel))
        async with await dialler.dial(label, zero_rtt=False) as stream:
            stream.write(b"hello")
            await stream.drain()
            assert await asyncio.wait_for(stream.readexactly(5), WAIT_SECONDS) == b"hello"
            cli(kind, "revoke", label, "--config", str(engine.config))
            # Nobody closes the stream but the engine.
            try:
                assert await asyncio.wait_for(stream.read(1), 3) == b""
            except (OSError, rstream.RstreamError, EOFError):
                pass
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        with pytest.raises(rstream.EngineError) as refused:
            await client.dial(label, zero_rtt=False)
        assert refused.value.engine_code == UNAUTHORIZED


async def echo_first(tunnel: rstream.BytestreamTunnel) -> None:
    await echo(await tunnel.accept())
