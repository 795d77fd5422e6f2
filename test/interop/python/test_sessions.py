"""Control channels over time: heartbeats, closing, and what is left when either side is killed, frozen or restarted."""

import asyncio
import signal
import ssl

import pytest
import rstream

from conftest import Connect, Spawn
from support.agent import agent_process, serve_echo
from support.downstream import fetch
from support.engine import Engine
from support.upstreams import Upstream
from support.waiting import retry

# protocol.md 0.1: an engine answers a heartbeat or is given up after max(15 s, 3 x interval).
LIVENESS_SECONDS = 15
BEATS_SECONDS = 3.5


async def test_the_engine_introduces_itself(connect: Connect) -> None:
    control = await connect()
    assert control.server_details is not None
    assert control.server_details.agent and control.server_details.version


async def test_heartbeats_of_one_second_keep_a_channel_open(
    engine: Engine, connect: Connect, spawn: Spawn, label: str
) -> None:
    control = await connect(heartbeat_interval=1.0)
    tunnel = await control.create_tunnel(name=label, publish=False)
    spawn(serve_echo(tunnel))
    # Every acknowledgement that the SDK does not expect would end the channel, so would a missing one.
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(control.done(), BEATS_SECONDS)
    async with engine.client() as client, await client.dial(label, zero_rtt=False) as stream:
        stream.write(b"still here")
        assert await asyncio.wait_for(stream.readexactly(10), 5) == b"still here"


async def test_a_channel_without_heartbeats_stays_open(connect: Connect, label: str) -> None:
    control = await connect(heartbeat=False)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(control.done(), 1.5)
    assert (await control.create_tunnel(name=label, publish=False)).id


async def test_an_engine_that_hangs_is_given_up_by_the_negotiated_timeout(mortal_engine: Engine) -> None:
    async with mortal_engine.client(heartbeat_interval=1.0) as client:
        control = await client.connect()
        mortal_engine.signal(signal.SIGSTOP)
        try:
            with pytest.raises(rstream.RstreamError) as given_up:
                await asyncio.wait_for(control.done(), LIVENESS_SECONDS + 5)
        finally:
            mortal_engine.signal(signal.SIGCONT)
        # A legacy channel has no timeout: this code proves that the engine negotiated one.
        assert given_up.value.code == "ERR_RSTREAM_CONTROL_LIVENESS"


async def test_closing_a_tunnel_ends_its_accept_loop_and_leaves_the_others(
    engine: Engine, connect: Connect, python_upstream: Upstream, spawn: Spawn, label: str
) -> None:
    control = await connect()
    closing = await control.create_tunnel(hostname=f"{label}-closing")
    staying = await control.create_tunnel(hostname=f"{label}-staying")
    loop = asyncio.ensure_future(closing.forward_to("127.0.0.1", python_upstream.port))
    spawn(staying.forward_to("127.0.0.1", python_upstream.port))
    assert (await fetch(engine, f"{label}-closing.t.localhost")).status == 200
    await closing.close()
    await asyncio.wait_for(loop, 5)
    with pytest.raises(rstream.RstreamError) as closed:
        await closing.accept()
    assert closed.value.code == "ERR_RSTREAM_TUNNEL_CLOSED"
    assert (await fetch(engine, f"{label}-staying.t.localhost")).status == 200
    # A name that nobody publishes is refused before any certificate is shown.
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        await fetch(engine, f"{label}-closing.t.localhost")


async def test_a_closed_channel_frees_its_names_for_everybody(engine: Engine, label: str) -> None:
    async with engine.client() as first:
        control = await first.connect()
        await control.create_tunnel(name=label, hostname=label)
        await control.close()
        assert control.closed
    async with engine.client(token=engine.create_token(f"{label}-other")) as second:
        tunnel = await (await second.connect()).create_tunnel(name=label, hostname=label)
        assert tunnel.properties.hostname == f"{label}.t.localhost"


async def test_a_killed_agents_names_go_to_the_next_one(
    engine: Engine, connect: Connect, spawn: Spawn, python_upstream: Upstream, label: str
) -> None:
    control = await connect()
    async with agent_process(engine, name=label, hostname=label) as process:
        process.kill()
        await process.wait()
        # The kernel's FIN and the new request race; the name is free as soon as the engine has seen the first.
        tunnel = await retry(
            lambda: control.create_tunnel(name=label, hostname=label), on=rstream.EngineError, seconds=5
        )
    spawn(tunnel.forward_to("127.0.0.1", python_upstream.port))
    assert (await fetch(engine, f"{label}.t.localhost")).body == b"pong\n"


async def test_a_silent_agents_names_go_to_the_same_credential_only(
    engine: Engine, connect: Connect, spawn: Spawn, python_upstream: Upstream, label: str
) -> None:
    control = await connect()
    stranger = await connect(token=engine.create_token(f"{label}-stranger"))
    async with agent_process(engine, name=label, hostname=label) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(rstream.EngineError) as refused:
            await stranger.create_tunnel(name=label, hostname=label)
        assert refused.value.engine_code == 8000
        # Its connection is still up: the silence, longer than its heartbeat interval of 1 s, is what gives it away.
        tunnel = await retry(
            lambda: control.create_tunnel(name=label, hostname=label), on=rstream.EngineError, seconds=10
        )
    spawn(tunnel.forward_to("127.0.0.1", python_upstream.port))
    assert (await fetch(engine, f"{label}.t.localhost")).body == b"pong\n"


async def test_an_agent_comes_back_with_its_hostname_after_the_engine_was_killed(
    mortal_engine: Engine, spawn: Spawn, python_upstream: Upstream, label: str
) -> None:
    async with mortal_engine.client() as client:
        control = await client.connect()
        before = await control.create_tunnel(name=label, hostname=label)
        spawn(before.forward_to("127.0.0.1", python_upstream.port))
        assert (await fetch(mortal_engine, f"{label}.t.localhost")).status == 200
        mortal_engine.kill()
        with pytest.raises((OSError, EOFError)):
            await asyncio.wait_for(control.done(), 5)
        await asyncio.to_thread(mortal_engine.start)
        control = await retry(client.connect, on=OSError, seconds=10)
        after = await control.create_tunnel(name=label, hostname=label)
        spawn(after.forward_to("127.0.0.1", python_upstream.port))
        assert after.forwarding_address == before.forwarding_address
        assert (await fetch(mortal_engine, f"{label}.t.localhost")).body == b"pong\n"


async def test_a_stopping_engine_says_goodbye(mortal_engine: Engine) -> None:
    async with mortal_engine.client() as client:
        control = await client.connect()
        await control.create_tunnel()
        code = await asyncio.to_thread(mortal_engine.stop)
        # done() raises when a channel was lost; it returns when the engine closed it.
        await asyncio.wait_for(control.done(), 5)
        assert code == 0
