"""The Engine API as the SDK's own client reads it: clients and tunnels that are live right now."""

import pytest
import rstream

from conftest import Connect
from support.engine import Engine


async def test_a_connected_agent_is_listed_as_it_introduced_itself(engine: Engine, connect: Connect) -> None:
    await connect()
    async with engine.client() as client:
        listed = await client.list_clients(filters=rstream.ClientFilters(agent="rstream-python-runtime"))
        assert listed
        for entry in listed:
            assert entry["id"] and entry["status"] == "online"
            assert (entry["channel"], entry["version"]) == ("sdk", rstream.__version__)
            assert entry["os"] and entry["arch"] and entry["protocol_version"]
        assert await client.list_clients(filters=rstream.ClientFilters(agent="nobody")) == []


async def test_live_tunnels_are_found_by_name_label_and_kind(engine: Engine, connect: Connect, label: str) -> None:
    control = await connect()
    public = await control.create_tunnel(name=f"{label}-public", hostname=label, labels={label: "a"})
    private = await control.create_tunnel(name=f"{label}-private", publish=False, labels={label: "b"})
    async with engine.client() as client:

        async def found(**filters: object) -> set[str | None]:
            return {item.properties.id for item in await client.list_tunnels(filters=rstream.TunnelFilters(**filters))}

        assert await found(name=f"{label}-public") == {public.id}
        assert await found(labels={label: None}) == {public.id, private.id}
        assert await found(labels={label: "b"}) == {private.id}
        assert await found(labels={label: None}, publish=True) == {public.id}
        assert await found(hostname=f"{label}.t.localhost") == {public.id}
        assert await found(name=label) == set()
        assert len(await client.list_tunnels(limit=1)) == 1


async def test_a_listed_tunnel_equals_the_one_that_was_opened(engine: Engine, connect: Connect, label: str) -> None:
    opened = await (await connect()).create_tunnel(name=label, hostname=label, labels={"team": "interop"})
    async with engine.client() as client:
        (listed,) = await client.list_tunnels(filters=rstream.TunnelFilters(id=opened.id))
    assert listed.status == "online" and listed.client_id
    for field in ("id", "name", "type", "protocol", "publish", "hostname", "port", "host", "labels", "http_version"):
        assert getattr(listed.properties, field) == getattr(opened.properties, field), field
    assert listed.properties.creation_date is not None
    assert rstream.format_forwarding_address(listed.properties) == opened.forwarding_address


async def test_a_closed_tunnel_is_no_longer_listed(engine: Engine, connect: Connect, label: str) -> None:
    tunnel = await (await connect()).create_tunnel(name=label, publish=False)
    async with engine.client() as client:
        by_name = rstream.TunnelFilters(name=label)
        assert len(await client.list_tunnels(filters=by_name)) == 1
        await tunnel.close()
        assert await client.list_tunnels(filters=by_name) == []


async def test_a_wrong_token_is_a_401(engine: Engine) -> None:
    async with engine.client(token="not-a-token") as client:
        with pytest.raises(rstream.RstreamError) as refused:
            await client.list_tunnels()
    assert refused.value.code == "ERR_RSTREAM_ENGINE_API_HTTP"
    assert "error 401" in str(refused.value)
