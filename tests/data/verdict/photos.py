# What is in a directory, and each of it.
import os
from base import Base, serve

class App(Base):
    def do_GET(self):
        if self.path == "/":
            return self.say(200, "".join("<li>" + name for name in sorted(os.listdir("/photos"))))
        self.say(200, open("/photos/" + os.path.basename(self.path), "rb").read(), [("Content-Type", "image/png")])

serve(App)
