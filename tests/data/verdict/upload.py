# Files of any size; what they are shown with is another file.
import os, secrets
from base import Base, serve
os.makedirs("/var/files", exist_ok=True)

class App(Base):
    def do_GET(self):
        if self.path == "/":
            page = open("/list.html").read()
            return self.say(200, page + "".join("<li>" + name for name in sorted(os.listdir("/var/files"))))
        try:
            self.say(200, open("/var" + self.path, "rb").read(), [("Content-Type", "application/octet-stream")])
        except OSError:
            self.say(404, "no such file")

    def do_PUT(self):
        with open("/var/files/" + os.path.basename(self.path), "wb") as file:
            file.write(self.body())
        self.say(201, "kept")

serve(App)
