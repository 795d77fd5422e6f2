"""The web servers that are published: python's http.server and Debian's nginx, both over one directory of files."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.waiting import accepts, free_port, poll

START_SECONDS = 10
LARGE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Upstream:
    """A server that answers on 127.0.0.1."""

    port: int


def make_site(directory: Path) -> Path:
    """The files that both servers serve."""
    (directory / "directory").mkdir(parents=True)
    (directory / "directory" / "index.html").write_text("directory\n")
    (directory / "ping").write_text("pong\n")
    (directory / "text.txt").write_text("a line that compresses well\n" * 400)
    # Not compressible and not periodic, so that a lost or doubled chunk cannot go unseen.
    block = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(32_768))
    (directory / "large.bin").write_bytes(block * (LARGE_BYTES // len(block)))
    return directory


@contextmanager
def python_server(site: Path) -> Iterator[Upstream]:
    """`python -m http.server`: HTTP/1.0, one answer a connection, ended by closing it."""
    port = free_port()
    arguments = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(site)]
    with _child(arguments, port):
        yield Upstream(port)


@contextmanager
def nginx_server(site: Path, work: Path) -> Iterator[Upstream]:
    """nginx: HTTP/1.1 with keep-alive, ranges, chunked compression and uploads."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert binary is not None, "nginx is not installed; Debian: apt-get install nginx-light"
    port = free_port()
    work.mkdir()
    config = work / "nginx.conf"
    config.write_text(_nginx_config(site, work, port))
    with _child([binary, "-p", str(work), "-e", "stderr", "-c", str(config)], port):
        yield Upstream(port)


def _nginx_config(site: Path, work: Path, port: int) -> str:
    temporary = "".join(
        f"  {kind}_temp_path {work}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
daemon off;
master_process off;
pid {work}/nginx.pid;
events {{}}
http {{
  access_log off;
{temporary}
  gzip on;
  gzip_types text/plain application/octet-stream;
  server {{
    listen 127.0.0.1:{port};
    root {site};
    client_max_body_size 64m;
    location = /seen {{
      default_type text/plain;
      return 200 "$http_host|$http_x_forwarded_for|$http_x_forwarded_proto|$http_x_forwarded_host|$http_x_forwarded_port";
    }}
    location /upload/ {{
      root {work};
      dav_methods PUT;
      create_full_put_path on;
    }}
  }}
}}
"""


@contextmanager
def _child(arguments: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        poll(lambda: accepts(port), START_SECONDS, f"{arguments[0]} listens")
        assert process.poll() is None, f"{arguments[0]} ended with {process.returncode}"
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
