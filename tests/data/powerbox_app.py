"""An app for the tests of sessions: says what it was asked, and uses the bridge's proxy."""
import http.server
import json
import os
import urllib.error
import urllib.parse
import urllib.request

IDENTITIES = "/var/.sandstorm-http-bridge/identities"


def through_proxy(url, body=None, headers=()):
    request = urllib.request.Request(url, data=body, headers=dict(headers))
    proxy = urllib.request.ProxyHandler({"http": os.environ["http_proxy"]})
    try:
        with urllib.request.build_opener(proxy).open(request) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def said(self, body=""):
        headers = {name.lower(): value for name, value in self.headers.items()}
        return json.dumps({"line": self.requestline, "headers": headers, "body": body})

    def do_GET(self):
        if self.path == "/identities":
            links = {name: os.readlink(f"{IDENTITIES}/{name}") for name in os.listdir(IDENTITIES)}
            self.answer(200, json.dumps(links))
        else:
            self.answer(200, self.said())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/claim":
            # The page got a token from the powerbox; the app makes a capability of it.
            session = self.headers["X-Sandstorm-Session-Id"]
            wanted = {"requestToken": body, "requiredPermissions": ["see"],
                      "label": {"defaultText": "from the test"}}
            self.answer(*through_proxy(
                f"http://http-bridge/session/{session}/claim", json.dumps(wanted).encode(),
                {"Content-Type": "application/json"}))
        elif self.path.startswith("/use/"):
            self.answer(*through_proxy("http://any" + self.path[len("/use"):],
                                       headers={"Authorization": "Bearer " + body}))
        else:
            self.answer(200, self.said(body))

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
