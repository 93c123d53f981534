"""Takes as much of everything as it gets, and tells how much that was."""
import ctypes
import http.server
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import threading
import urllib.parse

LIBC = ctypes.CDLL(None, use_errno=True)


def limits():
    names = ["NOFILE", "FSIZE", "NPROC", "DATA"]
    found = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names}
    for directory in ("/tmp", "/dev/shm"):
        stat = os.statvfs(directory)
        found[directory] = [stat.f_blocks * stat.f_frsize, stat.f_files]
    return found


def denied():
    """Three calls of this program, one of another."""
    for _ in range(3):
        LIBC.unshare(0x10000000)
    child = subprocess.run(["/usr/bin/unshare", "--mount", "true"], stderr=subprocess.PIPE)
    return [child.returncode]


def fill(directory):
    got, block = 0, b"x" * 4096
    try:
        with open(directory + "/fill", "wb", buffering=0) as file:
            while got < 1 << 30:
                got += file.write(block)
    except OSError as error:
        return [got, error.strerror]
    return [got, ""]


def files():
    got = 0
    try:
        while got < 100000:
            open("/tmp/%d" % got, "x").close()
            got += 1
    except OSError as error:
        return [got, error.strerror]
    return [got, ""]


def file():
    try:
        with open("/var/large", "wb") as out:
            out.truncate(1 << 40)
    except OSError as error:
        return error.strerror
    return ""


CHILDREN = []


def processes():
    """They stay, so that whoever looks sees them; `release` ends them."""
    try:
        while len(CHILDREN) < 5000:
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            CHILDREN.append(child)
    except OSError as error:
        return [len(CHILDREN), error.strerror]
    return [len(CHILDREN), ""]


HELD = []


def memory():
    try:
        while len(HELD) < 4096:
            HELD.append(bytearray(b"x") * (1 << 20))
    except MemoryError:
        return len(HELD)
    return len(HELD)


def threads():
    """With the usual stacks, of which they touch little."""
    end, got = threading.Event(), 0
    try:
        while got < 480:
            threading.Thread(target=end.wait, daemon=True).start()
            got += 1
    except RuntimeError as error:
        return [got, str(error)]
    finally:
        end.set()
    return [got, ""]


def stacks():
    """Mapped as stacks, without threads: MiB."""
    flags, held = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x20000, []
    try:
        while len(held) < 512:
            held.append(mmap.mmap(-1, 8 << 20, flags=flags))
    except OSError:
        pass
    return 8 * len(held)


def descriptors():
    """Held until `release`."""
    try:
        while len(HELD) < 10000:
            HELD.append(os.fdopen(os.dup(1), "w", closefd=True))
    except OSError as error:
        return [len(HELD), error.strerror]
    return [len(HELD), ""]


def release():
    HELD.clear()
    for child in CHILDREN:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    CHILDREN.clear()


def log():
    for number in range(2000):
        print("line", number, flush=True)


def urgent():
    """What it gets of urgency before others: errors, if nothing."""
    errors = []
    for ask in (
        lambda: os.setpriority(os.PRIO_PROCESS, 0, -20),
        lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(99)),
    ):
        try:
            ask()
            errors.append("")
        except OSError as error:
            errors.append(error.strerror)
    return errors


def spin():
    """All processors, as urgently as may be, until the app is stopped."""
    errors = []
    for _ in range(os.cpu_count() + 2):
        out, into = os.pipe()
        if os.fork() == 0:
            os.write(into, json.dumps(urgent()).encode())
            while True:
                pass
        os.close(into)
        errors.append(json.loads(os.read(out, 4096)))
        os.close(out)
    return errors


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = urllib.parse.urlsplit(self.path)
        what, argument = path.path.strip("/"), path.query
        action = globals().get(what)
        answer = None
        if what in ("limits", "denied", "fill", "files", "file", "processes", "memory", "release",
                    "log", "spin", "threads", "stacks", "descriptors"):
            answer = action(argument) if argument else action()
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


sys.stdout.reconfigure(line_buffering=True)
http.server.HTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
