"""A stand-in for the platform, connected to the app over a socket pair: python3 test_app.py"""

import asyncio
import os
import socket
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "site"))
os.environ["NOTES_DATABASE"] = os.path.join(tempfile.mkdtemp(), "notes.sqlite3")

import capnp  # noqa: E402
import app  # noqa: E402


async def open_session(view, name, edit):
    request = view.newSession_request()
    request.sessionType = app.web.WebSession.schema.node.id
    request.userInfo.displayName.defaultText = name
    request.userInfo.init("permissions", 1)[0] = edit
    return (await request.send()).session.cast_as(app.web.WebSession)


async def page(session):
    return bytes((await session.get(path="")).content.body.bytes).decode()


async def main():
    app.prepare()
    platform, theirs = socket.socketpair()
    serving = asyncio.create_task(app.serve(theirs))
    stream = await capnp.AsyncIoStream.create_unix_connection(sock=platform)
    view = capnp.TwoPartyClient(stream).bootstrap().cast_as(app.grain.UiView)
    assert [p.name for p in (await view.getViewInfo()).permissions] == ["edit"]

    writer = await open_session(view, "Zoë", True)
    await writer.post(path="notes", content={"content": b"text=%3Ca%3E+note"})
    text = await page(writer)
    assert "Zoë" in text and "&lt;a&gt; note" in text, text

    reader = await open_session(view, "Bob", False)
    text = await page(reader)
    assert "note" in text and "<form" not in text, text
    answer = await reader.post(path="notes", content={"content": b"text=no"})
    assert answer.clientError.statusCode == "forbidden"
    serving.cancel()
    print("ok")


if __name__ == "__main__":
    asyncio.run(capnp.run(main()))
