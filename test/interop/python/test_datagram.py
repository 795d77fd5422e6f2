"""Private datagram tunnels: the packets of clients travel framed on streams, which the engine relays as they are.

The SDK has no public call that opens a datagram tunnel, so the request is made of its own messages; the control channel, the dial-backs and
the dials are the SDK's. A frame is a length of four bytes and the packet.
"""

import asyncio
import struct
import uuid

import pytest
import rstream
from rstream.protocol import message_with_open_tunnel_req

from conftest import Connect, Spawn
from support.agent import serve_echo
from support.engine import Engine

WAIT_SECONDS = 15
PACKETS = [b"", b"one", b"\x00" * 1_200, b"the greatest" * 5_461]


async def open_datagram_tunnel(
    control: rstream.ControlChannel, properties: rstream.TunnelProperties
) -> rstream.BytestreamTunnel:
    """What create_tunnel does, without its refusal of this type."""
    request_id = str(uuid.uuid4())
    answer: asyncio.Future[rstream.BytestreamTunnel] = asyncio.get_running_loop().create_future()
    control._pending_tunnels[request_id] = answer
    await control._write(message_with_open_tunnel_req(request_id, properties))
    return await asyncio.wait_for(answer, WAIT_SECONDS)


async def read_packet(stream: rstream.RstreamStream) -> bytes:
    (length,) = struct.unpack(">I", await asyncio.wait_for(stream.readexactly(4), WAIT_SECONDS))
    return await asyncio.wait_for(stream.readexactly(length), WAIT_SECONDS) if length else b""


async def test_packets_keep_their_bounds_both_ways(
    engine: Engine, connect: Connect, spawn: Spawn, label: str
) -> None:
    tunnel = await open_datagram_tunnel(
        await connect(),
        rstream.TunnelProperties(name=label, type="datagram", publish=False, datagram_guaranteed_delivery=True),
    )
    # Agents take the type of the tunnel from the reply.
    assert (tunnel.properties.type, tunnel.properties.datagram_guaranteed_delivery) == ("datagram", True)
    assert tunnel.forwarding_address == f"rstrm://{label} (unpublished)"
    spawn(serve_echo(tunnel))
    async with engine.client() as client:
        for target, zero_rtt in ((label, True), (tunnel.id, False)):
            async with await client.dial(target, zero_rtt=zero_rtt) as stream:
                for packet in PACKETS:
                    stream.write(struct.pack(">I", len(packet)) + packet)
                await stream.drain()
                assert [await read_packet(stream) for _ in PACKETS] == PACKETS


@pytest.mark.parametrize("protocol", ["dtls", "quic"])
async def test_a_published_datagram_tunnel_is_refused(connect: Connect, label: str, protocol: str) -> None:
    properties = rstream.TunnelProperties(type="datagram", publish=True, protocol=protocol, hostname=label)
    with pytest.raises(rstream.EngineError) as refused:
        await open_datagram_tunnel(await connect(), properties)
    assert refused.value.engine_code == 5000
