"""Our engine as its operators run it: a child process started from source, on a data directory of its own.

Flow: `init` writes configuration and certificates, `token create` prints a token, `serve` runs until it is told to
stop or killed; a second `start` uses the same port and the same data directory.
"""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rstream

from support.waiting import free_port, poll

ROOT = Path(__file__).resolve().parents[4]
# run.ts names the Node that runs it; a bare `pytest` takes the one on the path.
NODE = os.environ.get("INTEROP_NODE") or shutil.which("node") or "node"
COMMAND = [NODE, "--import", "tsx", "src/main.ts"]
# `init` gives every engine the same port for its admin page, and two of them run at once here.
SETTINGS = {"RSTREAM_ENGINE_ADMIN__LISTEN_ADDR": "127.0.0.1:0"}
CLI_SECONDS = 30
START_SECONDS = 30
STOP_SECONDS = 15


class Engine:
    """One engine: where it listens, whom it trusts, and its life as a process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.config = directory / "config.yaml"
        self.ca_file = directory / "ca.pem"
        self.log_file = directory / "engine.log"
        self.process: subprocess.Popen[bytes] | None = None
        cli("init", "--dir", str(directory), "--host", "localhost", "--listen", f"127.0.0.1:{self.port}")
        self.interop_token = self.create_token("interop")

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def create_token(self, name: str, *permissions: str) -> str:
        """A new agent token; without permissions it may do everything that an agent does."""
        flags = [flag for permission in permissions for flag in ("--permission", permission)]
        return cli("token", "create", "--config", str(self.config), "--name", name, "--quiet", *flags).strip()

    def revoke_token(self, name: str) -> None:
        cli("token", "revoke", name, "--config", str(self.config))

    def client(self, **options: object) -> rstream.Client:
        """An SDK client that trusts this engine's CA and ignores the machine's own rstream configuration."""
        return rstream.Client(
            **{
                "engine": self.address,
                "token": self.interop_token,
                "tls": rstream.TLSOptions(ca_file=str(self.ca_file)),
                "read_config_file": False,
                # Below pytest's own limit, so that a wait that fails says what it waited for.
                "operation_timeout": 15.0,
                **options,
            }
        )

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--config", str(self.config)],
                cwd=ROOT,
                env={**os.environ, **SETTINGS},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        poll(self._ready, START_SECONDS, "the engine takes TLS connections")

    def kill(self) -> None:
        """kill -9, as a power cut: the engine says goodbye to nobody."""
        process = self._running()
        process.kill()
        process.wait(STOP_SECONDS)
        self.process = None

    def stop(self) -> int:
        """Asks the engine to end; returns its exit code."""
        process = self._running()
        process.terminate()
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
            raise
        finally:
            self.process = None

    def signal(self, number: int) -> None:
        self._running().send_signal(number)

    def log_tail(self, lines: int = 40) -> str:
        if not self.log_file.exists():
            return ""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, "the engine is not running"
        return self.process

    def _ready(self) -> bool:
        code = self._running().poll()
        if code is not None:
            self.process = None
            raise AssertionError(f"the engine ended with {code} while it started:\n{self.log_tail()}")
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.set_alpn_protocols(["rstrm/1"])
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                context.wrap_socket(connection, server_hostname="localhost").close()
        except OSError:
            return False
        return True


def cli(*arguments: str) -> str:
    """Runs one command of rstream-engine-ce; returns its standard output."""
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=CLI_SECONDS
    )
    # The arguments are shown, the output is not: it may be a token.
    assert done.returncode == 0, f"{' '.join(arguments[:2])} ended with {done.returncode}: {done.stderr.strip()}"
    return done.stdout


@contextmanager
def running_engine(directory: Path) -> Iterator[Engine]:
    """A started engine that is gone, whatever the test did to it, when the block ends."""
    engine = Engine(directory)
    try:
        engine.start()
        yield engine
    finally:
        if engine.process is not None:
            engine.kill()
