# Notes with random names, in paths. Where they are kept is another module's.
import secrets
from base import Base, serve
import store

class App(Base):
    def do_GET(self):
        parts = self.path.split("/")
        if len(parts) == 3 and parts[1] == "notes":
            text = store.load(parts[2])
            return self.say(404, "no such note") if text is None else self.say(200, "<p>" + text)
        self.say(200, "".join('<a href="/notes/%s">a note</a>' % name for name in store.names()))

    def do_POST(self):
        name = secrets.token_hex(8)
        store.save(name, self.form()["text"])
        self.say(303, "", [("Location", "/notes/" + name)])

serve(App)
