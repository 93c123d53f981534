# One page of it fails, here as there.
from base import Base, serve

class App(Base):
    def do_GET(self):
        if self.path == "/broken":
            return self.say(500, "an error of the app's own")
        self.say(200, open("/page.html").read())

serve(App)
