"""A small notes app: Python's own HTTP server, SQLite below /var, users from the bridge.

There is no login here. Who is asking, and what they may do, is decided outside the sandbox and
told in headers by the HTTP bridge, which nothing else can reach:
  X-Sandstorm-Username     the name to show, percent-encoded
  X-Sandstorm-User-Id      who it is, the same at every visit; absent for a visitor
  X-Sandstorm-Permissions  the names of the permissions they hold, joined by commas
"""

import html
import http.server
import mimetypes
import os
import sqlite3
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
DATABASE = os.environ.get("NOTES_DATABASE", "/var/lib/notes/notes.sqlite3")  # /var is the grain's own
PORT = 8000  # as in the command of sandstorm-pkgdef.capnp
BODY_LIMIT = 64 * 1024

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Notes</title>
<link rel="stylesheet" href="/static/style.css">
<h1>Notes</h1>
<p>Hello, <b>{name}</b>. You hold these permissions: {permissions}.</p>
{form}
<ul>{notes}</ul>
</html>
"""

FORM = """<form method="post" action="/notes">
<label>New note <input name="text" required maxlength="1000" autofocus></label>
<button>Add</button>
</form>"""


def connect():
    database = sqlite3.connect(DATABASE, timeout=10)
    database.execute("pragma journal_mode = wal")
    return database


def prepare():
    os.makedirs(os.path.dirname(DATABASE), exist_ok=True)
    with connect() as database:
        database.execute(
            "create table if not exists notes (id integer primary key, author text, text text)")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path == "/":
            self.reply(200, "text/html; charset=utf-8", self.page().encode())
        elif path.startswith("/static/"):
            self.static(path)
        else:
            self.reply(404, "text/plain; charset=utf-8", b"no such page\n")

    do_HEAD = do_GET

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT:
            self.close_connection = True
            return self.reply(413, "text/plain; charset=utf-8", b"that is too long for a note\n")
        form = urllib.parse.parse_qs(self.rfile.read(length).decode("utf-8", "replace"))
        if self.path != "/notes":
            return self.reply(404, "text/plain; charset=utf-8", b"no such page\n")
        if not self.may("edit"):
            return self.reply(403, "text/plain; charset=utf-8", b"you may not edit\n")
        with connect() as database:
            if "delete" in form:
                database.execute("delete from notes where id = ?", (form["delete"][0],))
            elif form.get("text"):
                database.execute("insert into notes (author, text) values (?, ?)",
                                 (self.user(), form["text"][0]))
        self.send_response(303)
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def page(self):
        with connect() as database:
            rows = database.execute("select id, author, text from notes order by id").fetchall()
        edit = self.may("edit")
        items = []
        for number, author, text in rows:
            button = ('<form method="post" action="/notes"><button name="delete" value="%d">Delete'
                      '</button></form>' % number) if edit else ""
            items.append("<li>%s <small>%s</small> %s</li>"
                         % (html.escape(text), html.escape(author or ""), button))
        return PAGE.format(
            name=html.escape(self.user()),
            permissions=html.escape(", ".join(self.permissions()) or "none"),
            form=FORM if edit else "",
            notes="".join(items))

    def user(self):
        return urllib.parse.unquote(self.headers.get("X-Sandstorm-Username", "")) or "somebody"

    def permissions(self):
        names = self.headers.get("X-Sandstorm-Permissions", "")
        return [name for name in names.split(",") if name]

    def may(self, permission):
        return permission in self.permissions()

    def static(self, path):
        root = os.path.join(HERE, "static")
        file = os.path.normpath(os.path.join(HERE, path.lstrip("/")))
        if not file.startswith(root + os.sep) or not os.path.isfile(file):
            return self.reply(404, "text/plain; charset=utf-8", b"no such file\n")
        with open(file, "rb") as content:
            kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
            self.reply(200, kind, content.read())

    def reply(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


if __name__ == "__main__":
    prepare()
    # 127.0.0.1 and not "localhost": there is no name service in the sandbox.
    http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
