"""Sends the files below public/: types, ETags, single ranges; no listings, no dot-files."""

import hashlib
import http.server
import mimetypes
import os
import posixpath
import re
import urllib.parse

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "public")
PORT = 8000  # as in the command of sandstorm-pkgdef.capnp
CHUNK = 256 * 1024


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        parts = posixpath.normpath("/" + path).strip("/").split("/")
        if any(part.startswith(".") for part in parts) or "\0" in path:
            return self.fail(404, "no such page")
        file = os.path.join(ROOT, *parts)
        if os.path.isdir(file):
            if not path.endswith("/"):
                self.send_response(301)
                self.send_header("Location", "/" + urllib.parse.quote("/".join(parts)) + "/")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            file = os.path.join(file, "index.html")
        try:
            with open(file, "rb") as content:
                self.send_file(file, content)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self.fail(404, "no such page")

    do_HEAD = do_GET

    def send_file(self, file, content):
        size = os.fstat(content.fileno()).st_size
        digest = hashlib.sha256()
        while chunk := content.read(CHUNK):
            digest.update(chunk)
        tag = '"%s"' % digest.hexdigest()[:32]  # the bridge drops tags without quotes
        if tag in [wanted.strip() for wanted in self.headers.get("If-None-Match", "").split(",")]:
            self.send_response(304)
            self.send_header("ETag", tag)
            return self.end_headers()
        start, end, status = 0, size, 200
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted and (wanted[1] or wanted[2]) and self.headers.get("If-Range", tag) == tag:
            if wanted[1]:
                start, end = int(wanted[1]), min(int(wanted[2] or size), size - 1) + 1
            else:
                start = max(size - int(wanted[2]), 0)
            status = 206
            if start >= end:
                return self.fail(416, "no such range", ("Content-Range", "bytes */%d" % size))
        self.send_response(status)
        kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", tag)
        self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (start, end - 1, size))
        self.end_headers()
        if self.command != "HEAD":
            content.seek(start)
            left = end - start
            while left and (chunk := content.read(min(CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)

    def fail(self, status, message, *headers):
        body = (message + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass  # visits are nobody's business


if __name__ == "__main__":
    # 127.0.0.1 and not "localhost": there is no name service in the sandbox.
    http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
