"""Sends the files below public/: types and ETags; no listings, no dot-files.

Ranges are left out: the session between bridge and platform does not carry them.
"""

import hashlib
import http.server
import mimetypes
import os
import posixpath
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get("SITE_ROOT") or os.path.join(HERE, "public")
PORT = int(os.environ.get("PORT") or 8000)  # as in the command of sandstorm-pkgdef.capnp
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
        self.send_response(200)
        kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.send_header("ETag", tag)
        self.end_headers()
        if self.command != "HEAD":
            content.seek(0)
            left = size
            while left and (chunk := content.read(min(CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)

    def fail(self, status, message):
        body = (message + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass  # visits are nobody's business


if __name__ == "__main__":
    # 127.0.0.1 and not "localhost": there is no name service in the sandbox.
    http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
