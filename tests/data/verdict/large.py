# An answer longer than what is kept of one.
from base import Base, serve

class App(Base):
    def do_GET(self):
        data = open("/pattern.txt", "rb").read() * 100_000
        self.say(200, data, [("Content-Type", "text/plain")])

serve(App)
