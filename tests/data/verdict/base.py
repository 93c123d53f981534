"""What the Python apps of tests/tests/verdict.rs share."""
import http.server
import os
import sys
import urllib.parse


class Base(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def say(self, status, text, headers=()):
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        if not any(name == "Content-Type" for name, _ in headers):
            self.send_header("Content-Type", "text/html; charset=utf-8")
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def form(self):
        return {name: values[0] for name, values in urllib.parse.parse_qs(self.body().decode()).items()}

    def cookie(self, name):
        pairs = [pair.strip().partition("=") for pair in self.headers.get("Cookie", "").split(";")]
        return next((value for key, _, value in pairs if key == name), None)


def serve(handler):
    http.server.ThreadingHTTPServer(("127.0.0.1", 8000), handler).serve_forever()
