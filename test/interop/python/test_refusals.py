"""What the engine refuses: the SDK must see the code that makes its callers do the right thing."""

import pytest
import rstream

from conftest import Connect
from support.engine import Engine

UNAUTHORIZED, INVALID_REQUEST, RESOURCE_CONFLICT = 1000, 2000, 8000


async def test_a_wrong_token_is_unauthorized(engine: Engine) -> None:
    genuine = engine.interop_token
    forged = genuine[:-6] + ("AAAAAA" if not genuine.endswith("AAAAAA") else "BBBBBB")
    for token in ("not-a-token", forged):
        async with engine.client(token=token) as client:
            with pytest.raises(rstream.EngineError) as refused:
                await client.connect()
            assert refused.value.engine_code == UNAUTHORIZED
            # The text travels to logs of agents: it must not carry what was presented.
            assert token not in str(refused.value)


async def test_no_token_is_unauthorized(engine: Engine) -> None:
    async with engine.client(token=None, no_token=True) as client:
        with pytest.raises(rstream.EngineError) as refused:
            await client.connect()
    assert refused.value.engine_code == UNAUTHORIZED


async def test_dialling_with_a_wrong_token_is_unauthorized(engine: Engine, connect: Connect, label: str) -> None:
    await (await connect()).create_tunnel(name=label, publish=False)
    async with engine.client() as client:
        with pytest.raises(rstream.EngineError) as refused:
            await client.dial(label, token="not-a-token", zero_rtt=False)
    assert refused.value.engine_code == UNAUTHORIZED


async def test_a_revoked_token_is_unauthorized_while_the_engine_runs(engine: Engine, label: str) -> None:
    async with engine.client(token=engine.create_token(label)) as client:
        # The engine has verified and remembers the token: revoking must reach that memory too.
        await (await client.connect()).close()
        engine.revoke_token(label)
        with pytest.raises(rstream.EngineError) as refused:
            await client.connect()
    assert refused.value.engine_code == UNAUTHORIZED


async def test_a_token_does_what_its_permissions_say(engine: Engine, connect: Connect, label: str) -> None:
    await (await connect()).create_tunnel(name=label, publish=False)
    async with engine.client(token=engine.create_token(f"{label}-reader", "tunnels.resources.read-only")) as reader:
        assert [item.properties.name for item in await reader.list_tunnels(filters=rstream.TunnelFilters(name=label))]
        with pytest.raises(rstream.EngineError) as refused:
            await reader.connect()
        assert refused.value.engine_code == UNAUTHORIZED
        with pytest.raises(rstream.EngineError) as refused:
            await reader.dial(label, zero_rtt=False)
        assert refused.value.engine_code == UNAUTHORIZED


async def test_a_live_name_of_another_credential_is_a_conflict(engine: Engine, connect: Connect, label: str) -> None:
    await (await connect()).create_tunnel(name=label, publish=False)
    other = await connect(token=engine.create_token(f"{label}-other"))
    with pytest.raises(rstream.EngineError) as refused:
        await other.create_tunnel(name=label, publish=False)
    assert refused.value.engine_code == RESOURCE_CONFLICT


async def test_a_live_hostname_of_another_credential_is_a_conflict(
    engine: Engine, connect: Connect, label: str
) -> None:
    await (await connect()).create_tunnel(hostname=label)
    other = await connect(token=engine.create_token(f"{label}-other"))
    with pytest.raises(rstream.EngineError) as refused:
        await other.create_tunnel(hostname=label)
    # The exact text: `rstream run` tells a conflict by it.
    assert (refused.value.engine_code, str(refused.value)) == (RESOURCE_CONFLICT, "Hostname is already in use.")


@pytest.mark.parametrize("hostname", ["www.example.com", "a.b.t.localhost", "-x", "UPPER_CASE", "x.t.example.com"])
async def test_a_hostname_outside_of_the_engines_names_is_invalid(connect: Connect, hostname: str) -> None:
    control = await connect()
    with pytest.raises(rstream.EngineError) as refused:
        await control.create_tunnel(hostname=hostname)
    assert refused.value.engine_code == INVALID_REQUEST
    # The refusal is the request's, not the channel's.
    assert (await control.create_tunnel(publish=False)).id


async def test_a_private_tunnel_with_a_public_option_is_invalid(connect: Connect, label: str) -> None:
    control = await connect()
    with pytest.raises(rstream.EngineError) as refused:
        await control.create_tunnel(publish=False, hostname=label)
    assert refused.value.engine_code == INVALID_REQUEST
