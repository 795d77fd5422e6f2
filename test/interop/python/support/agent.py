"""An agent in a process of its own, so that a test can kill or freeze it without its saying goodbye.

As a program it publishes one tunnel that answers every byte stream with what it received, and prints one JSON line
when the tunnel is open. The token comes on standard input: arguments and environment can be read by other users.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import rstream

from support.engine import Engine

OPEN_SECONDS = 20


@asynccontextmanager
async def agent_process(engine: Engine, **tunnel: object) -> AsyncIterator["asyncio.subprocess.Process"]:
    """A running agent whose tunnel is open; killed when the block ends."""
    settings = {"engine": engine.address, "ca_file": str(engine.ca_file), "token": engine.interop_token}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "support.agent",
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({**settings, "tunnel": tunnel}).encode() + b"\n")
        await process.stdin.drain()
        line = await asyncio.wait_for(process.stdout.readline(), OPEN_SECONDS)
        assert json.loads(line or b"{}").get("open"), "the agent process did not open its tunnel"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def echo(stream: rstream.RstreamStream) -> None:
    """Sends back what arrives until the other side ends."""
    # A peer that resets its stream ends this echo, not the agent.
    with suppress(OSError):
        async with stream:
            while chunk := await stream.read(65_536):
                stream.write(chunk)
                await stream.drain()


async def serve_echo(tunnel: rstream.BytestreamTunnel) -> None:
    """Answers every stream of the tunnel with an echo, until the tunnel closes."""
    async with asyncio.TaskGroup() as streams:
        async for stream in tunnel:
            streams.create_task(echo(stream))


async def main() -> None:
    settings = json.loads(sys.stdin.readline())
    client = rstream.Client(
        engine=settings["engine"],
        token=settings["token"],
        tls=rstream.TLSOptions(ca_file=settings["ca_file"]),
        read_config_file=False,
        heartbeat_interval=1.0,
    )
    control = await client.connect()
    tunnel = await control.create_tunnel(**settings["tunnel"])
    print(json.dumps({"open": tunnel.id}), flush=True)
    await serve_echo(tunnel)


if __name__ == "__main__":
    asyncio.run(main())
