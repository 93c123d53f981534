"""An app as images have them: its data beside it, a pid file in /run, its directory the working one."""

import http.server
import os

SEED, VISITS = "data/seed", "data/visits"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(VISITS, "a") as visits:
            visits.write("x")
        with open("/run/app.pid", "w") as pid:
            pid.write(str(os.getpid()))
        with open(SEED) as seed, open(VISITS) as visits:
            text = f"{os.getcwd()} {seed.read().strip()} {os.environ['GREETING']} {len(visits.read())}"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
