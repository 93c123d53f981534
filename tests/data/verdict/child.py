# A program that does the work.
import subprocess
from base import Base, serve

class App(Base):
    def do_GET(self):
        try:
            out = subprocess.run(["/tools/count", "/words.txt"], capture_output=True, check=True).stdout
        except OSError as error:
            return self.say(500, str(error))
        self.say(200, b"<p>words: " + out)

serve(App)
