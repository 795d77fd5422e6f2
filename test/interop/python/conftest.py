"""Fixtures: an engine for all tests, an engine that a test may kill, the upstreams, and opened control channels."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import rstream

from support.engine import Engine, running_engine
from support.upstreams import Upstream, make_site, nginx_server, python_server

# A developer's own rstream configuration and the machine's HTTP proxy must not steer these tests.
for _name in [name for name in os.environ if name.startswith("RSTREAM_") or name.lower().endswith("_proxy")]:
    del os.environ[_name]

Connect = Callable[..., Awaitable[rstream.ControlChannel]]
Spawn = Callable[[Awaitable[None]], "asyncio.Task[None]"]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running_engine(tmp_path_factory.mktemp("engine") / "data") as engine:
        yield engine


@pytest.fixture
def mortal_engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine of the test's own, to be killed, frozen and restarted."""
    with running_engine(tmp_path / "data") as engine:
        yield engine


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def python_upstream(site: Path) -> Iterator[Upstream]:
    with python_server(site) as upstream:
        yield upstream


@pytest.fixture(scope="session")
def nginx_upstream(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with nginx_server(site, tmp_path_factory.mktemp("nginx") / "work") as upstream:
        yield upstream


@pytest.fixture
async def connect(engine: Engine) -> AsyncIterator[Connect]:
    """Opens control channels on the shared engine; options are the SDK client's. All close with the test."""
    async with AsyncExitStack() as clients:

        async def open_channel(**options: object) -> rstream.ControlChannel:
            client = await clients.enter_async_context(engine.client(**options))
            return await client.connect()

        yield open_channel


@pytest.fixture
async def spawn() -> AsyncIterator[Spawn]:
    """Runs an agent's serving loop beside the test and cancels it afterwards; a loop that failed fails the test."""
    tasks: list[asyncio.Task[None]] = []

    def start(work: Awaitable[None]) -> "asyncio.Task[None]":
        tasks.append(asyncio.ensure_future(work))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [result for result in results if isinstance(result, Exception)]
    # An accept loop that ends because its tunnel or its control channel did is what the SDK documents.
    assert not [failure for failure in failures if not isinstance(failure, (rstream.RstreamError, OSError, EOFError))]


@pytest.fixture
def label() -> str:
    """A name that no other test uses: it serves as tunnel name and as host label."""
    return f"t{secrets.token_hex(4)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Shows what the engine had to say about a test that failed."""
    report = yield
    for name in ("engine", "mortal_engine"):
        engine = getattr(item, "funcargs", {}).get(name)
        if report.failed and isinstance(engine, Engine):
            report.sections.append((f"log of {name}", engine.log_tail()))
    return report
