"""Git over HTTP: `git http-backend` behind a small server, repositories below /var."""
import os
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = "/var/repositories"
ENVIRON = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/var",
    "GIT_PROJECT_ROOT": ROOT,
    "GIT_HTTP_EXPORT_ALL": "1",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "http.receivepack",
    "GIT_CONFIG_VALUE_1": "true",
}


def chunks(stream):
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()


class Backend(BaseHTTPRequestHandler):
    def answer(self):
        path, _, query = self.path.partition("?")
        environ = {
            **ENVIRON,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_USER": self.headers.get("X-Sandstorm-Preferred-Handle", ""),
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        length = self.headers.get("Content-Length")
        if length is not None:
            environ["CONTENT_LENGTH"] = length
        with subprocess.Popen(["git", "http-backend"], env=environ, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as backend:
            if length is not None:
                backend.stdin.write(self.rfile.read(int(length)))
            elif self.headers.get("Transfer-Encoding") == "chunked":
                for chunk in chunks(self.rfile):
                    backend.stdin.write(chunk)
            backend.stdin.close()
            status, headers = "200 OK", []
            while line := backend.stdout.readline().decode().strip():
                name, value = line.split(": ", 1)
                if name == "Status":
                    status = value
                else:
                    headers.append((name, value))
            code, _, reason = status.partition(" ")
            self.send_response(int(code), reason)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            while piece := backend.stdout.read1(65536):
                self.wfile.write(piece)

    do_GET = do_POST = answer


if not os.path.exists(ROOT):
    subprocess.run(["git", "init", "-q", "--bare", ROOT + "/project.git"], env=ENVIRON, check=True)
ThreadingHTTPServer(("127.0.0.1", 8000), Backend).serve_forever()
