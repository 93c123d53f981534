# It does not start unless everything is there, and opens nothing of it.
import os, sys
from base import Base, serve
for name in "/conf/one", "/conf/two", "/conf/three":
    if not os.access(name, os.R_OK):
        sys.exit("fatal: there is no " + name)

class App(Base):
    def do_GET(self):
        self.say(200, "<p>started")

serve(App)
