"""Serves Radicale to the bridge: the user is who the bridge says, the data is below /var."""
import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

sys.path.insert(0, "/site")
os.makedirs("/var/radicale", exist_ok=True)

from radicale import Application  # noqa: E402
from radicale import config  # noqa: E402

settings = config.load()
settings.update({
    "auth": {"type": "remote_user"},
    "storage": {"filesystem_folder": "/var/radicale"},
    "logging": {"level": "info"},
}, "grain", privileged=True)
application = Application(settings)


def behind_the_bridge(environ, start_response):
    environ["REMOTE_USER"] = environ.get("HTTP_X_SANDSTORM_PREFERRED_HANDLE", "")
    return application(environ, start_response)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


make_server("127.0.0.1", 8000, behind_the_bridge, server_class=Server).serve_forever()
