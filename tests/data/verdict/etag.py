# What a browser has already it is not sent again.
import hashlib
from base import Base, serve

class App(Base):
    def do_GET(self):
        data = open("/style.css", "rb").read()
        tag = '"%s"' % hashlib.sha256(data).hexdigest()[:16]
        if self.headers.get("If-None-Match") == tag:
            return self.say(304, "", [("ETag", tag), ("Content-Type", "text/css")])
        self.say(200, data, [("ETag", tag), ("Content-Type", "text/css")])

serve(App)
