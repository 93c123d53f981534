# As socket.io's long polling: an ID in each request, and one request that waits for another.
import json, secrets, threading, urllib.parse
from base import Base, serve
CLIENTS = {}

class Client:
    def __init__(self):
        self.ready, self.said = threading.Event(), ""

class App(Base):
    def client(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        return CLIENTS.get(query.get("sid", [""])[0])

    def do_GET(self):
        if self.path == "/":
            return self.say(200, open("/client.html").read())
        if "sid=" not in self.path:
            sid = secrets.token_urlsafe(15)
            CLIENTS[sid] = Client()
            return self.say(200, '0{"sid":"%s","upgrades":[]}' % sid, [("Content-Type", "text/plain")])
        client = self.client()
        if client is None:
            return self.say(400, '{"code":1,"message":"Session ID unknown"}', [("Content-Type", "application/json")])
        client.ready.wait(20)
        self.say(200, "4" + client.said, [("Content-Type", "text/plain")])

    def do_POST(self):
        client = self.client()
        if client is None:
            return self.say(400, '{"code":1,"message":"Session ID unknown"}', [("Content-Type", "application/json")])
        client.said = self.body().decode()
        client.ready.set()
        self.say(200, "ok")

serve(App)
