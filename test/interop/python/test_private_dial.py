"""Private tunnels: the SDK dials by name and by id, with and without zero-RTT on either side.

Half-close proper is tested with the Go SDK: asyncio's TLS transports cannot write after end-of-file, so the Python SDK
can only show that the end of either side's bytes arrives behind all of them.
"""

import asyncio

import pytest
import rstream

from conftest import Connect, Spawn
from support.agent import serve_echo
from support.engine import Engine
from support.upstreams import Upstream

BURST = b"0123456789abcdef" * 65_536
WAIT_SECONDS = 15


async def round_trip(client: rstream.Client, target: str, payload: bytes, *, zero_rtt: bool) -> None:
    """Dials, sends and expects the same bytes back."""
    async with await client.dial(target, zero_rtt=zero_rtt) as stream:
        stream.write(payload)
        await stream.drain()
        assert await asyncio.wait_for(stream.readexactly(len(payload)), WAIT_SECONDS) == payload


@pytest.mark.parametrize("agent_zero_rtt", [True, False], ids=["agent-zero-rtt", "agent-waits"])
@pytest.mark.parametrize("dial_zero_rtt", [True, False], ids=["dial-zero-rtt", "dial-waits"])
async def test_dialling_by_name_and_by_id(
    engine: Engine, connect: Connect, spawn: Spawn, label: str, agent_zero_rtt: bool, dial_zero_rtt: bool
) -> None:
    control = await connect(zero_rtt=agent_zero_rtt)
    tunnel = await control.create_tunnel(name=label, publish=False)
    spawn(serve_echo(tunnel))
    async with engine.client() as client:
        for target in (label, tunnel.id):
            await round_trip(client, target, f"to {target}".encode(), zero_rtt=dial_zero_rtt)


async def test_a_private_tunnel_has_no_public_address(connect: Connect, label: str) -> None:
    control = await connect()
    named = await control.create_tunnel(name=label, publish=False)
    assert named.forwarding_address == f"rstrm://{label} (unpublished)"
    assert (named.properties.host, named.properties.hostname, named.properties.port) == (None, None, None)
    assert named.properties.publish is False
    unnamed = await control.create_tunnel(publish=False)
    assert unnamed.forwarding_address == f"rstrm://{unnamed.id} (unpublished)"


async def test_five_dials_at_once_do_not_mix(engine: Engine, connect: Connect, spawn: Spawn, label: str) -> None:
    control = await connect()
    spawn(serve_echo(await control.create_tunnel(name=label, publish=False)))
    async with engine.client() as client:
        payloads = [bytes([number]) * 200_000 for number in range(5)]
        await asyncio.gather(
            *(round_trip(client, label, payload, zero_rtt=number % 2 == 0) for number, payload in enumerate(payloads))
        )


async def test_a_megabyte_passes_both_ways_at_once(engine: Engine, connect: Connect, spawn: Spawn, label: str) -> None:
    control = await connect()
    spawn(serve_echo(await control.create_tunnel(name=label, publish=False)))
    async with engine.client() as client, await client.dial(label) as stream:

        async def send() -> None:
            stream.write(BURST)
            await stream.drain()

        _, received = await asyncio.gather(send(), asyncio.wait_for(stream.readexactly(len(BURST)), WAIT_SECONDS))
        assert received == BURST


async def test_the_end_of_the_agents_bytes_arrives_behind_all_of_them(
    engine: Engine, connect: Connect, label: str
) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(name=label, publish=False)
    async with engine.client() as client, await client.dial(label) as dialler:
        async with await asyncio.wait_for(tunnel.accept(), WAIT_SECONDS) as accepted:
            accepted.write(BURST)
            accepted.close()
            assert await asyncio.wait_for(dialler.read(), WAIT_SECONDS) == BURST


async def test_the_end_of_the_diallers_bytes_arrives_behind_all_of_them(
    engine: Engine, connect: Connect, label: str
) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(name=label, publish=False)
    async with engine.client() as client, await client.dial(label) as dialler:
        dialler.write(BURST)
        dialler.close()
        async with await asyncio.wait_for(tunnel.accept(), WAIT_SECONDS) as accepted:
            assert await asyncio.wait_for(accepted.read(), WAIT_SECONDS) == BURST


async def test_a_script_that_accepts_one_stream_gets_the_one_that_was_dialled(
    engine: Engine, connect: Connect, label: str
) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(name=label, publish=False)
    accepting = asyncio.ensure_future(tunnel.accept())
    # Longer than the engine waits before it probes a published web service.
    done, _ = await asyncio.wait({accepting}, timeout=3)
    assert not done
    async with engine.client() as client, await client.dial(label) as dialler:
        dialler.write(b"hello")
        dialler.close()
        async with await asyncio.wait_for(accepting, WAIT_SECONDS) as accepted:
            assert await asyncio.wait_for(accepted.read(), WAIT_SECONDS) == b"hello"


async def test_a_private_web_server_is_reached_through_a_dialled_stream(
    engine: Engine, connect: Connect, spawn: Spawn, nginx_upstream: Upstream, label: str
) -> None:
    control = await connect()
    tunnel = await control.create_tunnel(name=label, publish=False, protocol="http", http_version="http/1.1")
    spawn(tunnel.forward_to("127.0.0.1", nginx_upstream.port))
    async with engine.client() as client, await client.dial(label) as stream:
        stream.write(b"GET /ping HTTP/1.1\r\nHost: private\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(stream.read(), WAIT_SECONDS)
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"pong\n")


async def test_an_unknown_tunnel_is_refused_or_ended(engine: Engine, label: str) -> None:
    async with engine.client() as client:
        with pytest.raises(rstream.EngineError) as refused:
            await client.dial(label, zero_rtt=False)
        assert refused.value.engine_code == 3000
        # With zero-RTT there is no frame that could carry the refusal: the stream just ends.
        async with await client.dial(label, zero_rtt=True) as stream:
            assert await asyncio.wait_for(stream.read(), WAIT_SECONDS) == b""
