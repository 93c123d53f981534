# A stream of events that never ends.
import time
from base import Base, serve

class App(Base):
    def do_GET(self):
        if self.path != "/events":
            return self.say(200, "<script>new EventSource('/events')</script>")
        first = open("/first.txt").read()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.wfile.write(("data: %s %f\n\n" % (first, time.time())).encode())
            self.wfile.flush()
            time.sleep(0.1)

serve(App)
