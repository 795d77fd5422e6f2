"""Authentication at the edge: tunnels that the SDK publishes with token_auth and mtls_auth, asked by plain clients and by curl."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from conftest import Connect, Spawn
from support.agent import serve_echo
from support.downstream import THREADS, fetch
from support.engine import Engine, cli
from support.upstreams import Upstream

STREAMS, READ = "tunnels.streams.create-delete", "tunnels.resources.read-only"
WAIT_SECONDS = 15


def issue_certificate(engine: Engine, name: str, directory: Path, *permissions: str) -> tuple[Path, Path]:
    """A registered client certificate and its key."""
    flags = [flag for permission in permissions for flag in ("--permission", permission)]
    where = ["--config", str(engine.config), "--name", name, "--days", "1", "--out", str(directory)]
    cli("cert", "issue-client", *where, *flags)
    return directory / f"{name}.pem", directory / f"{name}-key.pem"


async def curl(engine: Engine, hostname: str, *flags: str) -> tuple[int, str]:
    """Status and body of a GET of /ping; curl's own exit code, negated, where there is no status."""
    command = ["curl", "--silent", "--max-time", str(WAIT_SECONDS), "--cacert", str(engine.ca_file)]
    command += ["--resolve", f"{hostname}:{engine.port}:127.0.0.1", "--write-out", "\n%{http_code}", *flags]
    command.append(f"https://{hostname}:{engine.port}/ping")
    run = lambda: subprocess.run(command, capture_output=True, text=True, timeout=2 * WAIT_SECONDS)  # noqa: E731
    done = await asyncio.get_running_loop().run_in_executor(THREADS, run)
    body, _, status = done.stdout.rpartition("\n")
    return (int(status) if done.returncode == 0 else -done.returncode), body


async def publish(connect: Connect, spawn: Spawn, upstream: Upstream, label: str, **tunnel: object) -> str:
    opened = await (await connect()).create_tunnel(protocol="http", hostname=label, **tunnel)
    spawn(opened.forward_to("127.0.0.1", upstream.port))
    return f"{label}.t.localhost"


async def test_token_auth_takes_a_token_in_the_header_and_in_the_query(
    engine: Engine, connect: Connect, spawn: Spawn, python_upstream: Upstream, label: str
) -> None:
    hostname = await publish(connect, spawn, python_upstream, label, token_auth=True)
    token = engine.create_token(label, STREAMS)
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await fetch(engine, hostname, "/ping", headers=bearer)).body == b"pong\n"
    # The upstream would serve another file if the query were still there to be part of a name.
    assert (await fetch(engine, hostname, f"/ping?rstream.token={token}")).body == b"pong\n"
    refused = await fetch(engine, hostname)
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="rstream"')
    both = await fetch(engine, hostname, f"/ping?rstream.token={token}", headers=bearer)
    assert (both.status, both.headers["rstream-error"]) == (401, "AMBIGUOUS_PROOF")
    engine.revoke_token(label)
    assert (await fetch(engine, hostname, "/ping", headers=bearer)).status == 401


async def test_token_auth_wants_the_permission_to_open_streams(
    engine: Engine, connect: Connect, spawn: Spawn, python_upstream: Upstream, label: str
) -> None:
    hostname = await publish(connect, spawn, python_upstream, label, token_auth=True)
    token = engine.create_token(label, READ)
    refused = await fetch(engine, hostname, headers={"Authorization": f"Bearer {token}"})
    assert refused.status == 403
    assert STREAMS.encode() in refused.body


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_curl_with_a_certificate_reaches_an_http_tunnel_with_mtls(
    engine: Engine, connect: Connect, spawn: Spawn, python_upstream: Upstream, label: str, tmp_path: Path, version: str
) -> None:
    hostname = await publish(connect, spawn, python_upstream, label, mtls_auth=True)
    cert, key = issue_certificate(engine, label, tmp_path, STREAMS)
    identity = ["--cert", str(cert), "--key", str(key)]
    assert await curl(engine, hostname, version, *identity) == (200, "pong\n")
    status, body = await curl(engine, hostname, version)
    assert (status, "CLIENT_CERTIFICATE_MISSING" in body) == (401, True)
    token = engine.create_token(f"{label}-token")
    status, body = await curl(engine, hostname, version, *identity, "--oauth2-bearer", token)
    assert (status, "ambiguous_proof" in body) == (401, True)
    cli("cert", "revoke", label, "--config", str(engine.config))
    assert (await curl(engine, hostname, version, *identity))[0] == 401


async def test_either_proof_suffices_where_a_tunnel_takes_both(
    engine: Engine, connect: Connect, spawn: Spawn, python_upstream: Upstream, label: str, tmp_path: Path
) -> None:
    hostname = await publish(connect, spawn, python_upstream, label, mtls_auth=True, token_auth=True)
    cert, key = issue_certificate(engine, label, tmp_path)
    token = engine.create_token(f"{label}-token")
    assert (await curl(engine, hostname, "--cert", str(cert), "--key", str(key)))[0] == 200
    assert (await curl(engine, hostname, "--oauth2-bearer", token))[0] == 200
    assert (await curl(engine, hostname))[0] == 401


async def echo_over_tls(engine: Engine, hostname: str, identity: tuple[Path, Path] | None) -> bytes:
    context = ssl.create_default_context(cafile=str(engine.ca_file))
    if identity:
        context.load_cert_chain(*identity)
    opening = asyncio.open_connection("127.0.0.1", engine.port, ssl=context, server_hostname=hostname)
    reader, writer = await asyncio.wait_for(opening, WAIT_SECONDS)
    try:
        writer.write(b"hello")
        return await asyncio.wait_for(reader.readexactly(5), WAIT_SECONDS)
    finally:
        writer.close()


async def test_a_tls_tunnel_with_mtls_takes_registered_certificates_only(
    engine: Engine, connect: Connect, spawn: Spawn, label: str, tmp_path: Path
) -> None:
    tunnel = await (await connect()).create_tunnel(protocol="tls", hostname=label, mtls_auth=True)
    spawn(serve_echo(tunnel))
    hostname = f"{label}.t.localhost"
    identity = issue_certificate(engine, label, tmp_path)
    assert await echo_over_tls(engine, hostname, identity) == b"hello"
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        await echo_over_tls(engine, hostname, None)
    # 56: the connection broke off after the handshake, by the alert.
    assert (await curl(engine, hostname))[0] in (-56, -55)
    cli("cert", "revoke", label, "--config", str(engine.config))
    with pytest.raises((OSError, EOFError)):
        await echo_over_tls(engine, hostname, identity)
