# A session in a cookie, without which there is nothing to see.
import json, secrets
from base import Base, serve
SESSIONS = {}

class App(Base):
    def do_GET(self):
        user = SESSIONS.get(self.cookie("sid"))
        if user is None:
            return self.say(403, "who are you?")
        self.say(200, "hello " + user)

    def do_POST(self):
        users = json.load(open("/users.json"))
        form = self.form()
        if users.get(form["name"]) != form["password"]:
            return self.say(403, "no")
        sid = secrets.token_urlsafe(18)
        SESSIONS[sid] = form["name"]
        self.say(303, "", [("Location", "/"), ("Set-Cookie", "sid=%s; Path=/" % sid)])

serve(App)
