"""A small notes app that speaks the platform's own API: Cap'n Proto RPC, no HTTP and no bridge.

Descriptor 3 is a connection to the platform. The app offers a UiView on it, which makes a WebSession
for everybody who opens the app; a request of a browser is a call on their session. There is no login
here: who it is, and what they may do, is told when the session is made.
"""

import asyncio
import html
import os
import socket
import sqlite3
import urllib.parse

import capnp

HERE = os.path.dirname(os.path.abspath(__file__))
DATABASE = os.environ.get("NOTES_DATABASE", "/var/lib/notes/notes.sqlite3")  # /var is the grain's own
PLATFORM = 3  # where every app finds the platform
EDIT = 0  # number of the permission; grains remember permissions by number, so the order is kept


def schema(name):
    root = os.path.join(HERE, "schema")
    return capnp.load(os.path.join(root, "sandstorm", name), imports=[root])


grain = schema("grain.capnp")
web = schema("web-session.capnp")

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


class View(grain.UiView.Server):
    """What the app offers the platform."""

    async def getViewInfo(self, _context, **_):
        info = _context.results
        permission = info.init("permissions", 1)[0]
        permission.name = "edit"
        permission.title.defaultText = "edit"
        permission.description.defaultText = "may write and delete notes"
        roles = info.init("roles", 2)
        for role, title, verb, edit in [
            (roles[0], "editor", "can edit", True),
            (roles[1], "viewer", "can read", False),
        ]:
            role.title.defaultText = title
            role.verbPhrase.defaultText = verb
            role.init("permissions", 1)[EDIT] = edit
            role.default = edit

    async def newSession(self, userInfo, sessionType, _context, **_):
        if sessionType != web.WebSession.schema.node.id:
            raise NotImplementedError("this app has sessions for browsers only")
        held = list(userInfo.permissions)
        edit = len(held) > EDIT and held[EDIT]
        return Session(userInfo.displayName.defaultText or "somebody", edit)


class Session(web.WebSession.Server):
    """One user's session. Calls that are not here are answered "unimplemented"."""

    def __init__(self, user, edit):
        self.user = user
        self.edit = edit

    async def get(self, path, _context, **_):
        path = path.split("?")[0]  # without the leading slash
        if path == "":
            content(_context.results, "text/html; charset=utf-8", self.page().encode())
        elif path == "static/style.css":
            with open(os.path.join(HERE, "static", "style.css"), "rb") as style:
                content(_context.results, "text/css", style.read())
        else:
            refuse(_context.results, "notFound", "no such page")

    async def post(self, path, content, _context, **_):
        if path != "notes":
            return refuse(_context.results, "notFound", "no such page")
        if not self.edit:
            return refuse(_context.results, "forbidden", "you may not edit")
        form = urllib.parse.parse_qs(bytes(content.content).decode("utf-8", "replace"))
        with connect() as database:
            if "delete" in form:
                database.execute("delete from notes where id = ?", (form["delete"][0],))
            elif form.get("text"):
                database.execute("insert into notes (author, text) values (?, ?)",
                                 (self.user, form["text"][0]))
        redirect = _context.results.init("redirect")
        redirect.switchToGet = True
        redirect.location = "/"

    def page(self):
        with connect() as database:
            rows = database.execute("select id, author, text from notes order by id").fetchall()
        items = []
        for number, author, text in rows:
            button = ('<form method="post" action="/notes"><button name="delete" value="%d">Delete'
                      '</button></form>' % number) if self.edit else ""
            items.append("<li>%s <small>%s</small> %s</li>"
                         % (html.escape(text), html.escape(author or ""), button))
        return PAGE.format(
            name=html.escape(self.user),
            permissions="edit" if self.edit else "none",
            form=FORM if self.edit else "",
            notes="".join(items))


def content(response, kind, body):
    answer = response.init("content")
    answer.mimeType = kind
    answer.body.bytes = body


def refuse(response, code, why):
    error = response.init("clientError")
    error.statusCode = code
    body = error.init("nonHtmlBody")
    body.mimeType = "text/plain; charset=utf-8"
    body.data = (why + "\n").encode()


def connect():
    database = sqlite3.connect(DATABASE, timeout=10)
    database.execute("pragma journal_mode = wal")
    return database


def prepare():
    os.makedirs(os.path.dirname(DATABASE), exist_ok=True)
    with connect() as database:
        database.execute(
            "create table if not exists notes (id integer primary key, author text, text text)")


async def serve(connection):
    """Serves the platform until it closes the connection: nobody uses the app any more then."""
    stream = await capnp.AsyncIoStream.create_unix_connection(sock=connection)
    server = capnp.TwoPartyServer(stream, bootstrap=View())
    await server.on_disconnect()


if __name__ == "__main__":
    prepare()
    asyncio.run(capnp.run(serve(socket.socket(fileno=PLATFORM))))
