"""A hub on this machine: what the client of the Hugging Face hub asks for, answered from a folder."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

REVISION = "ab" * 20


@contextmanager
def served(repositories: dict[str, dict[str, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """Address of the hub, and the paths that it was asked for; repositories by name, files by path."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(self.path.split("?")[0])
            asked.append(path)
            for name, files in repositories.items():
                if path.startswith("/api/") and f"/{name}" in path:
                    return self.answer(json.dumps(info(name, files)).encode(), {})
                _, at, rest = path.partition(f"/{name}/resolve/")
                revision, _, file = rest.partition("/")
                if at and revision == REVISION and file in files:
                    etag = hashlib.sha256(files[file]).hexdigest()
                    return self.answer(
                        files[file], {"X-Repo-Commit": REVISION, "ETag": f'"{etag}"'}
                    )
            return self.answer(b"", {}, 404)

        def answer(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal of the tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def info(name: str, files: dict[str, bytes]) -> dict[str, object]:
    siblings = [{"rfilename": file} for file in files]
    return {"id": name, "sha": REVISION, "siblings": siblings, "tags": [], "private": False}
