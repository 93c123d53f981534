# The time in another place; where zoneinfo does not know it, glibc calls it something and goes on.
import os, time
from base import Base, serve
os.environ["TZ"] = "Europe/Berlin"
time.tzset()

class App(Base):
    def do_GET(self):
        now = time.localtime()
        self.say(200, time.strftime("<p>%A, %H:%M:%S</p>", now) + ("<p>summer</p>" if now.tm_isdst else "<p>winter</p>"))

serve(App)
