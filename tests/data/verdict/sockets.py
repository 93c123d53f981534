# A worker that is asked through a socket below /var, as many servers do; a pipe lies there, too.
import os, socket, subprocess, sys, time
from base import Base, serve
for name in ("/var/worker", "/var/pipe"):
    if os.path.lexists(name):
        os.remove(name)
os.mkfifo("/var/pipe")
WORKER = subprocess.Popen([sys.executable, "-B", "/worker.py"])
while not os.path.exists("/var/worker"):
    if WORKER.poll() is not None:
        sys.exit("the worker has ended")
    time.sleep(0.01)

class App(Base):
    def do_GET(self):
        with socket.socket(socket.AF_UNIX) as worker:
            worker.connect("/var/worker")
            self.say(200, b"<p>" + worker.recv(100))

serve(App)
