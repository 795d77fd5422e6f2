"""Webhooks as the SDK's own verifier reads them: the signature of each delivery, its event, and what was tampered with."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import pytest
import rstream
from rstream import webhooks

from support.engine import Engine

WAIT_SECONDS = 15
SECRET = webhooks.generate_signing_secret()
# What the SDK's verifier takes; the engine's other events are verified by hand (docs/webhooks.md).
EVENTS = "[client.*, tunnel.*]"

Delivery = tuple[dict[str, str], bytes]


@contextmanager
def receiver() -> Iterator[tuple[int, "Queue[Delivery]"]]:
    """A server that hands over what it is sent."""
    told: Queue[Delivery] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], told
        finally:
            server.shutdown()


async def test_the_verifier_takes_every_delivery_and_nothing_that_was_changed(tmp_path: Path, label: str) -> None:
    with receiver() as (port, told):
        engine = Engine(tmp_path / "data")
        endpoint = f"{{name: sdk, url: 'http://127.0.0.1:{port}/', secret: {SECRET}, events: {EVENTS}}}"
        with engine.config.open("a") as config:
            config.write(f"webhooks:\n  allow_private: true\n  endpoints: [{endpoint}]\n")
        engine.start()
        try:
            async with engine.client() as client:
                control = await client.connect()
                tunnel = await control.create_tunnel(name=label, publish=False)
            deliveries = [told.get(timeout=WAIT_SECONDS) for _ in range(4)]
        finally:
            engine.stop()

    events = [webhooks.verify_event(body, headers["rstream-signature"], SECRET) for headers, body in deliveries]
    assert [event.type for event in events] == ["client.created", "tunnel.created", "tunnel.deleted", "client.deleted"]
    assert events[1].object["id"] == tunnel.id and events[1].object["name"] == label
    for event, (headers, body) in zip(events, deliveries, strict=True):
        assert headers["rstream-event-id"] == event.id and headers["rstream-event-type"] == event.type
        assert headers["rstream-webhook-id"] and headers["rstream-delivery-id"]
        for changed, secret in ((body + b" ", SECRET), (body, webhooks.generate_signing_secret())):
            with pytest.raises(rstream.RstreamError):
                webhooks.verify_event(changed, headers["rstream-signature"], secret)
