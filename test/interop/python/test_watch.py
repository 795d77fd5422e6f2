"""Watching the engine with the SDK's own client, over both of its transports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import rstream

from conftest import Connect
from support.engine import Engine

TRANSPORTS = ("sse", "websocket")
READ_ONLY = "tunnels.resources.read-only"
EVENT_SECONDS = 10


@contextlib.asynccontextmanager
async def watching(engine: Engine, **options: object) -> AsyncIterator[AsyncIterator[rstream.Event]]:
    async with engine.client() as client, client.watch(**options) as events:
        yield events


async def next_event(events: AsyncIterator[rstream.Event]) -> rstream.Event:
    async with asyncio.timeout(EVENT_SECONDS):
        return await anext(events)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_tunnel_comes_and_goes_behind_the_inventory(
    engine: Engine, connect: Connect, label: str, transport: str
) -> None:
    control = await connect()
    before = await control.create_tunnel(name=f"{label}-before", publish=False, labels={label: "a"})
    filters = rstream.TunnelFilters(labels={label: None})
    nobody = rstream.ClientFilters(agent="nobody")
    async with watching(engine, tunnels=filters, clients=nobody, transport=transport) as events:
        initial = await next_event(events)
        assert initial.type == "state.initial" and initial.object is not None
        assert [entry["id"] for entry in initial.object["tunnels"]] == [before.id]
        assert initial.object["clients"] == []

        await control.create_tunnel(name=f"{label}-unseen", publish=False)
        opened = await control.create_tunnel(name=label, hostname=label, labels={label: "b"})
        created = await next_event(events)
        assert (created.type, created.object["id"]) == ("tunnel.created", opened.id)
        assert (created.object["hostname"], created.object["status"]) == (f"{label}.t.localhost", "online")
        assert created.created_at is not None and created.created_at.endswith("Z")

        await opened.close()
        deleted = await next_event(events)
        assert (deleted.type, deleted.object["id"]) == ("tunnel.deleted", opened.id)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_agent_comes_before_its_tunnels_and_leaves_after_them(
    mortal_engine: Engine, transport: str
) -> None:
    async with watching(mortal_engine, transport=transport) as events:
        initial = await next_event(events)
        assert (initial.object["clients"], initial.object["tunnels"]) == ([], [])
        async with mortal_engine.client() as agent:
            control = await agent.connect()
            await control.create_tunnel(publish=False)
            seen = [await next_event(events), await next_event(events)]
        seen += [await next_event(events), await next_event(events)]
    assert [event.type for event in seen] == ["client.created", "tunnel.created", "tunnel.deleted", "client.deleted"]
    assert seen[0].object["id"] == seen[1].object["client_id"] == seen[3].object["id"]
    assert seen[0].object["agent"] == "rstream-python-runtime"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_stream_ends_with_the_token(engine: Engine, label: str, transport: str) -> None:
    token = engine.create_token(label, READ_ONLY)
    async with engine.client(token=token) as client, client.watch(transport=transport) as events:
        assert (await next_event(events)).type == "state.initial"
        engine.revoke_token(label)
        ended = (StopAsyncIteration,)
        if transport == "websocket":
            import websockets

            # The SDK lets its library say why: 1008, policy violation.
            ended = (websockets.ConnectionClosedError,)
        with pytest.raises(ended) as end:
            while True:
                await next_event(events)
        if transport == "websocket":
            assert end.value.rcvd.code == 1008 and end.value.rcvd.reason == "TOKEN_REVOKED"


async def test_a_wrong_token_is_a_401(engine: Engine) -> None:
    async with engine.client(token="not-a-token") as client, client.watch() as events:
        with pytest.raises(rstream.RstreamError) as refused:
            await next_event(events)
    assert refused.value.code == "ERR_RSTREAM_ENGINE_API_HTTP"
    assert "error 401" in str(refused.value)
