"""Never stops writing, so that backups of it running have something to get wrong.

/sqlite and /postgres start a writer each, /swap a thread that lets names change places; the same
path again tells how far it is, as JSON.
"""
import ctypes
import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading

ACCOUNTS = 20
BALANCE = 1000


class Progress:
    def __init__(self, work):
        self.done, self.error = 0, ""
        threading.Thread(target=self.run, args=(work,), daemon=True).start()

    def run(self, work):
        try:
            work(self)
        except BaseException as error:
            self.error = repr(error)


def transfer(n):
    """From, to and how much: the same for each n."""
    source = n * 7 % ACCOUNTS
    return source, (source + 1 + n % (ACCOUNTS - 1)) % ACCOUNTS, n % 13


def sqlite(progress):
    db = sqlite3.connect("/var/bank.db", isolation_level=None)
    assert db.execute("pragma journal_mode=wal").fetchone() == ("wal",)
    # Checkpoints all the time: the database itself changes, not only its log.
    db.execute("pragma wal_autocheckpoint=20")
    db.execute("create table account (id integer primary key, balance integer)")
    db.execute("create table entry (n integer primary key, text text)")
    db.execute("create index text on entry (text)")
    db.execute("begin")
    for number in range(ACCOUNTS):
        db.execute("insert into account values (?, ?)", (number, BALANCE))
    db.execute("commit")
    while True:
        n = progress.done + 1
        source, to, much = transfer(n)
        db.execute("begin immediate")
        db.execute("update account set balance = balance - ? where id = ?", (much, source))
        db.execute("update account set balance = balance + ? where id = ?", (much, to))
        db.execute("insert into entry values (?, ?)", (n, "%d " % n * 50))
        # Not without end: what is old goes.
        db.execute("delete from entry where n <= ?", (n - 2000,))
        db.execute("commit")
        progress.done = n


def postgres(progress):
    version = max(os.listdir("/usr/lib/postgresql"), key=int)
    bin = "/usr/lib/postgresql/%s/bin/" % version
    subprocess.run([bin + "initdb", "-D", "/var/pg", "-U", "app", "-A", "trust", "--data-checksums",
                    "--no-sync"], check=True, stdout=subprocess.DEVNULL)
    settings = ["listen_addresses=", "checkpoint_timeout=30s", "max_wal_size=32MB", "jit=off",
                "shared_buffers=1MB", "autovacuum_naptime=1s", "bgwriter_delay=10ms"]
    server = [bin + "postgres", "-D", "/var/pg", "-k", "/tmp"]
    for setting in settings:
        server += ["-c", setting]
    subprocess.Popen(server)
    while subprocess.run([bin + "pg_isready", "-q", "-h", "/tmp"]).returncode:
        pass
    pq = ctypes.CDLL("libpq.so.5")
    pq.PQconnectdb.restype = pq.PQexec.restype = ctypes.c_void_p
    pq.PQerrorMessage.restype = ctypes.c_char_p
    connection = ctypes.c_void_p(pq.PQconnectdb(b"host=/tmp user=app dbname=postgres"))

    def ask(sql):
        result = ctypes.c_void_p(pq.PQexec(connection, sql.encode()))
        # PGRES_COMMAND_OK
        assert pq.PQresultStatus(result) == 1, pq.PQerrorMessage(connection)
        pq.PQclear(result)

    ask("create table account (id integer primary key, balance integer);"
        "create table entry (n integer primary key, text text);"
        "insert into account select n, %d from generate_series(0, %d) n;" % (BALANCE, ACCOUNTS - 1))
    while True:
        n = progress.done + 1
        source, to, much = transfer(n)
        ask("begin;"
            "update account set balance = balance - %d where id = %d;"
            "update account set balance = balance + %d where id = %d;"
            "insert into entry values (%d, repeat('%d ', 50));"
            "delete from entry where n <= %d; commit;" % (much, source, much, to, n, n, n - 2000))
        progress.done = n


def swap(outside):
    """Directories, files and closed directories change places with links to the outside, each by
    one system call (renameat2 with RENAME_EXCHANGE)."""
    libc = ctypes.CDLL(None, use_errno=True)
    top = b"/var/swap"
    os.makedirs(top + b"/deep/er")
    pairs = []

    def pair(name, link):
        os.symlink(link, top + b"/" + link_of(name))
        pairs.append((top + b"/" + name, top + b"/" + link_of(name)))

    def link_of(name):
        return name + b".link"

    for name, link in [(b"dir", outside), (b"deep/er/dir", outside), (b"closed", outside),
                       (b"up", b"../../.."), (b"proc", b"/proc/self/root" + outside)]:
        os.mkdir(top + b"/" + name)
        with open(top + b"/" + name + b"/key", "w") as file:
            file.write("harmless")
        pair(name, link)
    for name in [b"file", b"deep/file"]:
        with open(top + b"/" + name, "w") as file:
            file.write("harmless")
        pair(name, outside + b"/key")
    os.chmod(top + b"/closed", 0)

    def work(progress):
        while True:
            for a, b in pairs:
                if libc.renameat2(-100, a, -100, b, 2):
                    raise OSError(ctypes.get_errno(), "renameat2", a)
                progress.done += 1

    return work


class Handler(http.server.BaseHTTPRequestHandler):
    running = {}

    def do_GET(self):
        name, _, query = self.path.strip("/").partition("?")
        running = self.running
        if name in ("sqlite", "postgres") and name not in running:
            running[name] = Progress(globals()[name])
        if name == "swap" and name not in running:
            running[name] = Progress(swap(query.encode()))
        state = {key: [value.done, value.error] for key, value in running.items()}
        body = json.dumps(state).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
