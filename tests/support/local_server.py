"""An HTTP server on this machine, with the faults that networks have."""

import contextlib
import hashlib
import http.server
import re
import threading


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`, by name; others are not found.

    Attributes:
        announced: the length that responses claim to have, if not their own.
        limit: bytes after which a response breaks off.
        reach: bytes of a file after which nothing comes.
        busy: how many requests are answered with 503 before others.
        says_length: whether responses do; one that does not ends with the connection.
        tags: whether responses name the version of their file.
        ranges: whether parts of files can be asked for.
        requests: of each request its name and the part that it asked for (None: all).
    """

    daemon_threads = True

    def __init__(self):
        self.files, self.requests = {}, []
        self.announced = self.limit = self.reach = None
        self.ranges = self.tags = self.says_length = True
        self.busy = 0
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name, asked = self.path[1:], self.headers["Range"]
        self.server.requests.append((name, asked))
        content = self.server.files.get(name)
        if self.server.busy:
            self.server.busy -= 1
            self.send_error(503)
            return
        if content is None:
            self.send_error(404)
            return
        tag, first = f'"{hashlib.md5(content).hexdigest()}"', 0
        unchanged = self.headers["If-Range"] in (None, tag)
        if asked and self.server.ranges and unchanged:
            first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if first >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if self.server.tags:
            self.send_header("ETag", tag)
        if self.server.says_length:
            length = self.server.announced or len(content) - first
            self.send_header("Content-Length", str(length))
        self.end_headers()
        last = min(first + (self.server.limit or len(content)), self.server.reach or len(content))
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content[first:last])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving():
    """A server that runs within the block."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()
