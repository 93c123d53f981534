"""An app whose pages lead to each other; what it reads for each, it reads when it is asked for that page."""
import http.server
import urllib.parse
from pathlib import Path

FILES = Path(__file__).parent / "files"
PAGES = {
    "/": """<!doctype html><link rel=stylesheet href=/style.css><script type=module src=/app.js></script>
        <a href=/deep/1>deep</a><a href=/calendar/1>days</a><a href="/logout">leave</a>
        <a href=/edit>edit</a><a href=http://elsewhere.test/>elsewhere</a><a href=/none>none</a>
        <a href=/broken>broken</a><form action=/search><input name=q><button>Find</button></form>
        <form method=post action=/notes><input name=text><button>Add</button></form>""",
    "/deep/1": "<a href=2>on</a>",
    "/deep/2": "<a href='?last=3'>on</a>",
    "/style.css": "body { background: url('ground.gif') }",
    "/app.js": "import './part.js'; fetch('/data.json')",
    "/part.js": "",
    "/data.json": '{"next": "\\/named"}',
}
KINDS = {"css": "text/css", "js": "text/javascript", "json": "application/json", "gif": "image/gif"}


def read(name):
    (FILES / name).read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, text, **headers):
        self.send_response(status)
        suffix = self.path.split("?")[0].rpartition(".")[2]
        self.send_header("Content-Type", KINDS.get(suffix, "text/html"))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        body = text.encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        permissions = self.headers.get("X-Sandstorm-Permissions", "").split(",")
        cookies = self.headers.get("Cookie", "")
        if "gone=1" in cookies:
            return self.answer(403, "you have left")
        if url.path == "/logout":
            return self.answer(200, "bye", Set_Cookie="gone=1")
        if url.path == "/broken":
            return self.answer(500, "oh")
        if url.path.startswith("/calendar/"):
            day = int(url.path.split("/")[2])
            return self.answer(200, f"<a href=/calendar/{day + 1}>tomorrow</a>")
        if url.path == "/edit":
            if "edit" not in permissions:
                return self.answer(403, "no")
            read("edit")
            return self.answer(302, "", Location="/edited")
        if url.path == "/edited":
            read("edited")
            return self.answer(200, "x")
        if url.path == "/search":
            read("search" if query.get("q") else "all")
            return self.answer(200, "found")
        if query.get("last"):
            read("deep")
        for name in ("ground.gif", "named"):
            if url.path == f"/{name}":
                read(name)
                return self.answer(200, "x")
        if url.path not in PAGES:
            return self.answer(404, "none")
        if url.path == "/" and not self.headers.get("X-Sandstorm-User-Id"):
            read("visitor")
        return self.answer(200, PAGES[url.path])

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        read("post")
        self.answer(303, "", Location="/")

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
