"""A guest book in Flask: templates, a session cookie, a form that redirects, static files."""
import os
import sqlite3
import uuid

import flask

app = flask.Flask(__name__)
DATABASE = "/var/book.sqlite3"

if not os.path.exists("/var/key"):
    with open("/var/key", "wb") as key:
        key.write(os.urandom(32))
with open("/var/key", "rb") as key:
    app.secret_key = key.read()


def database():
    connection = sqlite3.connect(DATABASE)
    connection.execute("create table if not exists entries (id text primary key, text text)")
    return connection


@app.get("/")
def book():
    flask.session["visits"] = flask.session.get("visits", 0) + 1
    with database() as connection:
        entries = connection.execute("select id, text from entries").fetchall()
    return flask.render_template("book.html", entries=entries)


@app.post("/entries")
def add():
    if "visits" not in flask.session:
        flask.abort(403)
    name = uuid.uuid4().hex
    with database() as connection:
        connection.execute("insert into entries values (?, ?)", (name, flask.request.form["text"]))
    return flask.redirect(flask.url_for("entry", name=name), 303)


@app.get("/entries/<name>")
def entry(name):
    with database() as connection:
        found = connection.execute("select text from entries where id = ?", (name,)).fetchone()
    if found is None:
        flask.abort(404)
    return flask.jsonify(text=found[0])


if __name__ == "__main__":
    app.run("127.0.0.1", 8000)
