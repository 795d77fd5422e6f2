"""Waiting without guessing: every wait asks again and again, and ends at a deadline with a sentence."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.05


def free_port() -> int:
    """A port that was free a moment ago: the engine and nginx want to be told one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def poll(ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Returns when `ready` says so; for fixtures, which run outside of an event loop."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(POLL_SECONDS)


async def retry(attempt: Callable[[], Awaitable[T]], on: type[Exception], seconds: float) -> T:
    """The result of the first attempt that does not raise `on`; at the deadline the last error is raised."""
    end = time.monotonic() + seconds
    while True:
        try:
            return await attempt()
        except on:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(POLL_SECONDS)


def accepts(port: int) -> bool:
    """Whether something on this machine takes TCP connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
