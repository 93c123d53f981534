"""A small app for the end-to-end tests: who is asking, notes kept in SQLite, and the odd header."""
import http.server
import json
import os
import sqlite3
import urllib.parse

DATABASE = "/var/notes.sqlite3"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, headers=()):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        if self.path == "/":
            who = {name.lower(): value for name, value in self.headers.items()
                   if name.lower().startswith("x-sandstorm-")}
            self.answer(200, json.dumps(who))
        elif self.path == "/notes":
            with sqlite3.connect(DATABASE) as database:
                rows = database.execute("select text from notes order by id").fetchall()
            self.answer(200, "".join(row[0] + "\n" for row in rows))
        elif self.path == "/redirect":
            self.answer(303, "", [("Location", "/notes")])
        elif self.path == "/cookie":
            self.answer(200, self.headers.get("Cookie", "none"), [("Set-Cookie", "a=b; Path=/")])
        elif self.path == "/static":
            with open("/static/page.txt", encoding="utf-8") as page:
                self.answer(200, page.read())
        elif self.path.startswith("/read?"):
            with open("/" + self.path[len("/read?"):], encoding="utf-8") as page:
                self.answer(200, page.read())
        elif self.path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number in range(100):
                piece = ("%05d\n" % number) * 1000
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece.encode()))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.answer(404, "no such page")

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        text = urllib.parse.parse_qs(body)["text"][0]
        with sqlite3.connect(DATABASE) as database:
            database.execute("insert into notes (text) values (?)", (text,))
        self.answer(201, text)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/var/put", "wb") as file:
            file.write(body)
        self.answer(201, "%d bytes" % len(body))

    def do_DELETE(self):
        os.remove("/var/put")
        self.answer(200, "gone")


with sqlite3.connect(DATABASE) as database:
    database.execute("create table if not exists notes (id integer primary key, text text)")
print("the app is up, pid", os.getpid(), flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
