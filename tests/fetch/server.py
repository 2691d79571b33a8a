"""A real HTTP server that serves a Zenodo record, and misbehaves as it is told."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Site:
    """`files` are served below /files/; `tricks` are used up one per request of a file, then it behaves."""

    files: dict[str, bytes]
    tricks: list[dict[str, Any]] = field(default_factory=list)
    always: dict[str, Any] = field(default_factory=dict)
    etag: str = '"one"'
    record: bytes | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""

    def listing(self) -> bytes:
        entries = [
            {
                "key": name, "size": len(content), "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
                "links": {"self": f"{self.address}/files/{name}"},
            }
            for name, content in self.files.items()
        ]  # fmt: skip
        return json.dumps({"id": 1, "files": entries}).encode()

    def downloads(self, name: str) -> list[str]:
        """The Range header of every request of this file, "" for none."""
        return [asked for path, asked in self.asked if path == f"/files/{name}"]


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            site.asked.append((self.path, self.headers.get("Range", "")))
            if self.path.startswith("/files/"):
                trick = site.tricks.pop(0) if site.tricks else site.always
                self.file(self.path.removeprefix("/files/"), trick)
            elif self.path in ("/records/1", "/mirror/record.json"):
                self.answer(200, site.listing() if site.record is None else site.record, {})
            elif self.path.startswith("/mirror/"):
                self.file(self.path.removeprefix("/mirror/"), {})
            else:
                self.answer(404, b"{}", {})

        def file(self, name: str, trick: Mapping[str, Any]) -> None:
            content, asked = site.files[name], self.headers.get("Range", "")
            headers = {"ETag": trick.get("etag", site.etag), "Accept-Ranges": "bytes"}
            if "status" in trick:
                return self.answer(trick["status"], b"no", headers | trick.get("headers", {}))
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            stale = self.headers.get("If-Range", headers["ETag"]) != headers["ETag"]
            if not asked or trick.get("ignores_range") or (stale and not trick.get("ignores_if_range")):
                return self.answer(200, trick.get("body", content), headers, trick)
            if start >= len(content):
                return self.answer(416, b"", headers | {"Content-Range": f"bytes */{len(content)}"})
            start = trick.get("start", start)
            headers["Content-Range"] = trick.get("range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            return self.answer(206, content[start:], headers, trick)

        def answer(
            self, status: int, body: bytes, headers: Mapping[str, str], trick: Mapping[str, Any] | None = None
        ) -> None:
            trick = trick or {}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if not trick.get("no_length"):
                self.send_header("Content-Length", str(trick.get("length", len(body))))
            self.end_headers()
            slow = trick.get("slow")
            sent = body[: trick.get("drop", len(body))]
            try:
                for k in range(0, len(sent), slow or len(sent) or 1):
                    self.wfile.write(sent[k : k + (slow or len(sent))])
                    if slow:
                        self.wfile.flush()
                        threading.Event().wait(trick.get("pause", 0.002))
            except OSError:
                pass
            if "drop" in trick or "length" in trick or "no_length" in trick:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
