"""What the scripts beside this file have in common: every stage of an app's way from `spk init` to an
upgraded grain, each of which has to succeed. A script says what is the app's own: where it comes from,
how it is started, and what a client writes and reads back.

Everything is done by an ordinary user: a script that root starts goes on as the user of
tests/setup.sh, or stays root with SPK_APPS_ROOT=1. Programs and libraries are those of Debian, of one
release whatever this machine runs, downloaded and unpacked below SPK_APPS_CACHE: nothing is installed.

Exit status: 0, 1 if something is wrong, 77 if this machine cannot run the app. SPK names the spk to use;
with SPK_APPS_FAST=1 it compresses little, as tests want it."""

import base64
import fcntl
import hashlib
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

RELEASE = "trixie"
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Of what every Debian has, what start scripts and build steps call.
ESSENTIAL = ["base-files", "bash", "coreutils", "dash", "debianutils", "findutils", "grep", "gzip", "hostname",
             "libc-bin", "mawk", "sed", "tar", "util-linux"]
USER = "spk-test"
HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("SPK_APPS_CACHE") or f"/var/tmp/spk-apps-{os.getuid()}")
# Where a machine keeps the certificates that registries are known by, it tells in these.
CERTIFICATES = ["PIP_CERT", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"]


# Instead of a status.
ANY = "any"


class Missing(Exception):
    """This machine lacks what the app needs."""


class Failed(Exception):
    """A stage did not do what it has to."""


def check(condition, *what):
    """Fails, and shows `what`, unless `condition` holds."""
    if not condition:
        raise Failed(" ".join(str(part)[-20000:] for part in what))


def find(pattern, text):
    """The first group of the pattern, which has to be in the text."""
    found = re.search(pattern, text)
    check(found, f"there is no {pattern} in", text)
    return next(group for group in found.groups() if group is not None)


def call(command, **options):
    """Runs a command, which has to succeed, and gives what it printed."""
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    check(done.returncode == 0, *command, f"\nended with {done.returncode}:\n", done.stdout, done.stderr)
    return done.stdout


class Answer:
    """What an app answered."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.text = body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.text)


class Client:
    """A browser without a page: keeps cookies, follows redirects, fails on answers that are no success."""

    def __init__(self, ready):
        self.url = ready["sessionUrl"]
        self.host = urllib.parse.urlsplit(self.url).netloc
        self.address, port = ready["address"].rsplit(":", 1)
        self.port = int(port)
        self.cookies = {}

    def ask(self, method, path, body=None, headers=None, expect=None, follow=True):
        """One request. `body` is bytes, text, a form (dict or list of pairs) or, as `[json]`, JSON."""
        sent = {"Host": self.host, **(headers or {})}
        if isinstance(body, dict):
            body = urllib.parse.urlencode(body)
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        elif isinstance(body, list):
            body = json.dumps(body[0])
            sent.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection(self.address, self.port, timeout=120)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.split(";")[0].partition("=")
            self.cookies[name.strip()] = value
        if follow and method in ("GET", "POST") and answer.status in (301, 302, 303, 307):
            to = urllib.parse.urljoin(f"http://{self.host}{path}", answer.headers["Location"])
            parts = urllib.parse.urlsplit(to)
            check(parts.netloc == self.host, f"{method} {path} leads to {to}")
            return self.ask("GET", parts.path + ("?" + parts.query if parts.query else ""), None, None, expect)
        good = 200 <= answer.status < 400 if expect is None else expect in (ANY, answer.status)
        check(good, f"{method} {path} is answered with {answer.status}:\n{answer.text[:2000]}")
        return answer

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, body, **options):
        return self.ask("POST", path, body, **options)


class WebSocket:
    """The client's end of a WebSocket: texts, without extensions."""

    def __init__(self, client, path):
        self.socket = socket.create_connection((client.address, client.port), timeout=120)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {client.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Origin: http://{client.host}\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.stream = self.socket.makefile("rb")
        head = self.stream.readline()
        check(b" 101 " in head, f"{path} is no WebSocket: {head!r}")
        while self.stream.readline().strip():
            pass

    def frame(self, kind, data):
        size = struct.pack("!BH", 0xFE, len(data)) if len(data) > 125 else bytes([0x80 | len(data)])
        # A mask of zeros is one.
        self.socket.sendall(bytes([0x80 | kind]) + size + bytes(4) + data)

    def send(self, text):
        self.frame(1, text.encode())

    def receive(self):
        """The next text, whose pieces are put together."""
        text = b""
        while True:
            first, size = self.stream.read(2)
            size &= 0x7F
            if size > 125:
                size = int.from_bytes(self.stream.read(2 if size == 126 else 8), "big")
            data = self.stream.read(size)
            kind = first & 15
            check(kind != 8, "the WebSocket was closed:", data)
            if kind == 9:
                self.frame(10, data)
            elif kind < 3:
                text += data
                if first & 0x80:
                    return text.decode()

    def close(self):
        self.frame(8, b"")
        self.socket.close()


class Server:
    """A running `spk dev` or `spk run`, from when its app answers."""

    def __init__(self, app, place, *arguments):
        self.said = tempfile.TemporaryFile()
        command = [app.spk, *arguments, "--json", "--start-timeout", str(app.start_timeout)]
        self.process = subprocess.Popen(
            command, cwd=place, env=app.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.said, text=True)
        app.servers.append(self)
        line = self.process.stdout.readline()
        check(line, " ".join(arguments[:1]), "ended before the app answered:\n", self.stderr())
        self.ready = json.loads(line)
        self.grain = self.ready["grainId"]

    def stderr(self):
        self.said.seek(0)
        return self.said.read().decode("utf-8", "replace")

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "no end within 60 s"

    def stop(self):
        status = self.end()
        check(status == 0, f"spk ended with {status}:\n", self.stderr())
        return self.stderr()


class App:
    """An app and its way. What a script overrides is at the top."""

    stack = ""           # what it is made of, for the table
    needed = ""          # what the packager had to do beyond `spk init` and a start script
    port = 8000
    command = ["/bin/sh", "/opt/app/start.sh"]
    crawled = False      # whether `spk dev --crawl` has to find what `use` and `look` do
    closure = False      # whether the package has all that belongs to what was used
    arguments = []       # further ones of `spk dev` and `spk run`
    start_timeout = 120

    def get(self):
        """Brings programs and sources: self.debian(…), self.write(…), self.build(…)."""
        raise NotImplementedError

    def define(self):
        """Changes the definition that `spk init` wrote: self.replace(…), self.variable(…)."""

    def use(self, client):
        """A real client's work, in a new grain."""
        raise NotImplementedError

    def look(self, client):
        """Finds what `use` has written, in the same grain or its copy."""
        raise NotImplementedError

    # What scripts use.

    def __init__(self, name, place, spk):
        self.name, self.place, self.spk = name, place, str(spk)
        self.project = place / "project"
        self.source = self.project / "src"
        self.tree = None
        self.servers = []
        for part in ("home", "project/src/opt/app", "tmp"):
            (place / part).mkdir(parents=True)
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(place / "home"), "LC_ALL": "C.UTF-8",
            "SPK_STATE": str(place / "state"), "TMPDIR": str(place / "tmp"),
            **{name: os.environ[name] for name in CERTIFICATES if name in os.environ}}

    def debian(self, *packages):
        """Unpacks Debian packages, with all that they depend on, as the app's root: self.tree."""
        self.tree = self.project / "tree"
        self.call(["cp", "-al", unpacked(packages), self.tree])

    def call(self, command, **options):
        return call(command, env=self.environment, **{"cwd": self.project, **options})

    def write(self, path, text, mode=0o644):
        """A file of the app, at `path` in the package."""
        file = self.source / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)

    def start(self, script):
        """The start script, run by /bin/sh each time a grain starts."""
        self.write("opt/app/start.sh", "#!/bin/sh\nset -eu\n" + script, 0o755)

    def build(self, script):
        """Runs `script` as a build step: with the tree as root and the package's files in /src."""
        for part in ("src", "dev", "proc", "etc/ssl", "tmp", "root"):
            (self.tree / part).mkdir(parents=True, exist_ok=True)
        for part in ("etc/resolv.conf", "etc/hosts"):
            (self.tree / part).touch()
        outer = '''
            mount --rbind /dev "$1/dev"; mount --rbind /proc "$1/proc"; mount --bind "$2" "$1/src"
            for part in etc/ssl etc/resolv.conf etc/hosts; do mount --bind "/$part" "$1/$part"; done
            exec chroot "$1" /bin/sh -euc "cd /src; $3"'''
        environment = {**self.environment, "HOME": "/root", "TMPDIR": "/tmp",
                       "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        call(["unshare", "--map-root-user", "--mount", "sh", "-euc", outer, "sh", self.tree, self.source, script],
             env=environment)

    def tool(self, client, packages, script):
        """Runs a client of Debian's against the app at `$url`, in an empty directory, and gives what it said."""
        tree = unpacked(packages)
        hosts, place = self.place / "hosts", self.place / "tmp" / "tool"
        hosts.write_text(f"127.0.0.1 localhost {client.host.split(':')[0]}\n")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        outer = '''
            mkdir -p "$1/mnt" "$1/dev" "$1/tmp"; touch "$1/etc/hosts"
            mount --rbind /dev "$1/dev"; mount --bind "$2" "$1/etc/hosts"; mount --bind "$3" "$1/mnt"
            exec chroot "$1" /bin/sh -euc "cd /mnt; $4"'''
        return call(["unshare", "--map-root-user", "--mount", "sh", "-euc", outer, "sh", tree, hosts, place, script],
                    env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/mnt", "TMPDIR": "/mnt",
                         "LC_ALL": "C.UTF-8", "USER": "alice", "url": client.url})

    def pip(self, *packages):
        """Installs packages of PyPI, as wheels, into /opt/app/site."""
        self.build("python3 -m pip install --quiet --root-user-action=ignore --no-cache-dir --no-compile "
                   "--only-binary :all: --target opt/app/site " + " ".join(packages))

    def npm(self, date, *packages):
        """Installs packages of npm in /opt/app, with what they depend on as it was on `date`."""
        self.build("cd opt/app; npm install --loglevel error --no-audit --no-fund --no-update-notifier "
                   f"--ignore-scripts --omit dev --before {date} " + " ".join(packages))

    @property
    def definition(self):
        return self.project / "sandstorm-pkgdef.capnp"

    def replace(self, old, new):
        """Changes the definition, in which `old` has to be."""
        text = self.definition.read_text()
        check(old in text, f"{old!r} is not in the definition:\n{text}")
        self.definition.write_text(text.replace(old, new, 1))

    def variable(self, name, value):
        self.replace("  environ = [\n", f'  environ = [\n    (key = "{name}", value = "{value}"),\n')

    def always(self, *paths):
        self.replace("alwaysInclude = [", "alwaysInclude = [" + "".join(f'"{path}", ' for path in paths))

    # The stages.

    def init(self):
        sources = ["-I", "src"] + (["-I", "tree"] if self.tree else ["-I", "/"])
        self.call([self.spk, "init", "-q", "-p", self.port, *sources, "--", *self.command])
        self.define()

    def dev(self):
        server = Server(self, self.project, "dev", "--record", *self.arguments)
        for step in (self.use, self.look):
            self.with_log(server, step, Client(server.ready))
        said = server.stop()
        check("recorded" in said, "no requests were recorded:\n", said)
        return said

    def crawl(self):
        """Has the list made without a client; whatever the client's work used has to be in it."""
        names = ["sandstorm-files.list", ".sandstorm-files.list.trace"]
        kept = {name: (self.project / name).read_bytes() for name in names}
        for name in names:
            (self.project / name).unlink()
        self.call([self.spk, "dev", "-q", "--new", "--crawl", "--crawl-posts", *self.arguments])
        person, crawl = (set(text.decode().splitlines()) for text in
                         (kept[names[0]], (self.project / names[0]).read_bytes()))
        missed = sorted(person - crawl)
        check(not missed, f"the crawl did not find {len(missed)} of {len(person)} paths: {missed[:20]}")
        for name in names:
            (self.project / name).write_bytes(kept[name])

    def pack(self, version):
        self.replace(f"appVersion = {version - 1}," if version else "appVersion = 0,", f"appVersion = {version},")
        package = self.place / f"{self.name}-{version}.spk"
        fast = ["--fast"] if os.environ.get("SPK_APPS_FAST") else []
        whole = ["--closure"] if self.closure else []
        return package, json.loads(self.call([self.spk, "pack", "--json", *fast, *whole, package]))

    def verdict(self, package):
        done = subprocess.run(
            [self.spk, "check", "--json", "--start-timeout", str(self.start_timeout), package], cwd=self.project,
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        check(done.returncode in (0, 1) and done.stdout, "spk check:", done.stdout, done.stderr)
        report = json.loads(done.stdout)
        self.report = report
        check(report["grade"] == "good", "spk check calls it", report["grade"], "\n", json.dumps(report, indent=1))
        check(report["requests"]["recorded"] > 0, "spk check asked nothing")

    def run(self, package, *work, grain=None):
        """Runs the package, does `work` with a client each, and gives the grain."""
        chosen = ["--grain", grain] if grain else []
        server = Server(self, self.place, "run", str(package), *chosen, *self.arguments)
        for step in work:
            self.with_log(server, step, Client(server.ready))
        server.stop()
        return server.grain

    def with_log(self, server, work, client):
        """Does `work`; where it fails, with the end of the app's log."""
        try:
            work(client)
        except (Failed, OSError, http.client.HTTPException, ValueError, LookupError, struct.error) as error:
            log = subprocess.run([self.spk, "grain", "log", server.grain], env=self.environment, cwd=self.place,
                                 stdout=subprocess.PIPE, text=True, errors="replace").stdout
            raise Failed(f"{error!r}" if not isinstance(error, Failed) else str(error),
                         f"\nthe app's log:\n{log[-3000:]}\n{server.stderr()[-3000:]}") from error

    def grain(self, *arguments):
        return self.call([self.spk, "grain", *arguments], cwd=self.place)

    def leave(self):
        """Takes the sources away: what follows has the package alone."""
        gone = self.place / "gone"
        self.project.rename(gone)
        gone.chmod(0)

    def way(self, done):
        """All stages in order; `done(NAME)` is told after each."""
        self.get()
        done("get")
        self.init()
        done("init")
        self.dev()
        done("dev")
        if self.crawled:
            self.crawl()
            done("crawl")
        package, packed = self.pack(0)
        done("pack")
        self.verdict(package)
        done("check")
        newer, _ = self.pack(1)
        files = json.loads(self.call([self.spk, "ls", "--json", package]))["entries"]
        self.leave()
        done("pack the next version")
        grain = self.run(package, self.use, self.look)
        done("run")
        self.run(package, self.look, grain=grain)
        done("run again")
        backup = json.loads(self.grain("export", "--json", grain, "-o", "backup.zip"))
        done("export")
        self.grain("delete", grain)
        check(grain not in self.grain("list", "--json"), "the grain is still there")
        done("delete")
        restored = json.loads(self.grain("restore", "--json", "backup.zip"))["grainId"]
        self.run(package, self.look, grain=restored)
        done("restore")
        self.grain("upgrade", "--yes", restored, newer)
        version = json.loads(self.grain("show", "--json", restored))["appVersion"]
        check(version == 1, "after the upgrade the grain has version", version)
        self.run(newer, self.look, grain=restored)
        done("upgrade")
        return {
            "bytes": packed["packageBytes"], "unpacked": packed["archiveBytes"],
            "files": sum(entry["type"] == "file" for entry in files), "backup": backup["size"],
            "requests": self.report["requests"]["recorded"]}


def litmus(app, client):
    """The litmus suite for WebDAV servers, all of it but the locks, which the protocol has no place for."""
    said = app.tool(client, ["litmus"], 'TESTS="basic copymove props http" litmus --keep-going "$url" || true')
    check(said.count("100.0%") == 4, said)


def unpacked(packages):
    """The directory into which these Debian packages and their dependencies are unpacked."""
    packages = sorted({*ESSENTIAL, *packages})
    for program in ("apt-get", "dpkg-deb", "unshare"):
        if not shutil.which(program):
            raise Missing(f"there is no {program}")
    if not os.path.exists(KEYRING):
        raise Missing(f"there is no {KEYRING} (the package debian-archive-keyring)")
    # One at a time: several tests may want them.
    lock = open(CACHE / "lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    apt = CACHE / "apt"
    for part in ("lists/partial", "cache/archives/partial", "state"):
        (apt / part).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {RELEASE} main\n")
    config = apt / "apt.conf"
    # Of what this machine says to apt, only how it gets out.
    proxies = [line for line in call(["apt-config", "dump"]).splitlines()
               if line.startswith("Acquire::") and "proxy" in line.lower()]
    config.write_text(
        f'Dir "{apt}"; Dir::State "state"; Dir::State::Status "{apt}/status"; Dir::State::Lists "{apt}/lists";\n'
        f'Dir::Cache "cache"; Dir::Etc::SourceList "{apt}/sources.list"; Dir::Etc::SourceParts "/dev/null";\n'
        f'Dir::Etc::Parts "/dev/null"; Dir::Etc::Preferences "/dev/null"; Dir::Etc::PreferencesParts "/dev/null";\n'
        f'Acquire::Languages "none"; Acquire::Retries "3"; APT::Architecture "amd64"; APT::Sandbox::User "";\n'
        f'APT::Install-Recommends "false"; Debug::NoLocking "true";\n' + "\n".join(proxies) + "\n")
    environment = {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C.UTF-8"}
    stamp = apt / "updated"
    if not stamp.exists() or time.time() - stamp.stat().st_mtime > 12 * 3600:
        try:
            call(["apt-get", "update", "-qq", "--error-on=any"], env=environment)
        except Failed as error:
            raise Missing(f"Debian's packages cannot be listed: {error}") from error
        stamp.touch()
    get = ["apt-get", "install", "-qq", "--yes", "--reinstall"]
    # What is there already is not among what is printed.
    every = call([*get, "--print-uris", "-o", "Dir::Cache::Archives=none", *packages], env=environment)
    names = [line.split()[1] for line in every.splitlines() if line.startswith("'")]
    key = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]
    tree = CACHE / "trees" / key
    if tree.exists():
        lock.close()
        return tree
    call([*get, "--download-only", *packages], env=environment)
    new = tree.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    # The links that make /bin one with /usr/bin come first.
    names.sort(key=lambda name: not name.startswith("base-files_"))
    for name in names:
        call(["dpkg-deb", "--extract", apt / "cache/archives" / name, new])
    finish(new)
    new.rename(tree)
    lock.close()
    return tree


def finish(tree):
    """Makes what installing the packages would: of all that their scripts do, what is needed here."""
    for name, program in (("which", "which.debianutils"), ("awk", "mawk")):
        (tree / "usr/bin" / name).symlink_to(program)
    certificates = sorted((tree / "usr/share/ca-certificates").rglob("*.crt"))
    if certificates:
        bundle = tree / "etc/ssl/certs/ca-certificates.crt"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        bundle.write_bytes(b"".join(file.read_bytes() for file in certificates))


def found_spk():
    """SPK, or the newest that was built here."""
    if os.environ.get("SPK"):
        return Path(os.environ["SPK"]).resolve()
    built = list((HERE.parents[1] / "target").glob("*/*/spk"))
    if not built:
        raise Missing("there is no built spk: cargo build --release, or set SPK")
    return max(built, key=lambda path: path.stat().st_mtime)


def as_user():
    """Goes on as an ordinary user, with copies of what it may not reach where it is."""
    name = Path(sys.argv[0]).name
    spk = found_spk()
    try:
        home = pwd.getpwnam(USER).pw_dir
    except KeyError as error:
        raise Missing(f"there is no user {USER}: run tests/setup.sh --tests") from error
    with tempfile.TemporaryDirectory(prefix="spk-apps.", dir="/var/tmp") as place:
        os.chmod(place, 0o755)
        shutil.copytree(HERE, Path(place) / "apps")
        for program in (spk, spk.with_name("sandstorm-http-bridge")):
            shutil.copy2(program, place)
        command = ["setpriv", "--pdeathsig=TERM", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
                   "--inh-caps=-all", "--bounding-set=-all", "--", Path(place) / "apps" / name]
        environment = {**os.environ, "SPK": f"{place}/spk", "HOME": home}
        environment.pop("SPK_APPS_CACHE", None)
        return subprocess.run(command, env=environment, cwd=place).returncode


def skipped(name, why):
    """Says why the app cannot be run here, and gives the exit status that says so, too."""
    print(f"{name}: SKIPPED: {why}", file=sys.stderr)
    return 77


def main(kind):
    """Runs the script's app, and prints one line of JSON with sizes and times."""
    name = Path(sys.argv[0]).name
    try:
        if os.getuid() == 0 and not os.environ.get("SPK_APPS_ROOT"):
            sys.exit(as_user())
        spk = found_spk()
    except Missing as error:
        sys.exit(skipped(name, error))
    place = CACHE / "work" / name
    CACHE.mkdir(mode=0o755, exist_ok=True)
    if CACHE.stat().st_uid != os.getuid():
        sys.exit(f"{name}: {CACHE} belongs to somebody else: set SPK_APPS_CACHE")
    place.parent.mkdir(exist_ok=True)
    # One at a time; it is given back when the script ends.
    lock = open(f"{place}.lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    remove(place)
    place.mkdir()
    seconds, last, stage = {}, time.monotonic(), "get"

    def done(stage):
        nonlocal last
        now = time.monotonic()
        seconds[stage] = round(now - last, 1)
        print(f"{name}: {stage}: {seconds[stage]} s", file=sys.stderr, flush=True)
        last = now

    app = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        (place / "bin").mkdir()
        for program in (spk, spk.with_name("sandstorm-http-bridge")):
            shutil.copy2(program, place / "bin")
        app = kind(name, place, place / "bin/spk")
        result = app.way(done)
    except Missing as error:
        sys.exit(skipped(name, error))
    except Failed as error:
        print(f"{name}: FAILED after {list(seconds)[-1:] or 'nothing'}, kept in {place}:\n{''.join(error.args)}",
              file=sys.stderr)
        sys.exit(1)
    finally:
        for server in app.servers if app else []:
            if server.process.poll() is None:
                server.end()
    remove(place)
    print(json.dumps({
        "name": name, "what": sys.modules["__main__"].__doc__, "stack": kind.stack, "needed": kind.needed, **result,
        "fast": bool(os.environ.get("SPK_APPS_FAST")), "seconds": seconds}))


def remove(place):
    """Removes what was left of an earlier run, also what nobody may read."""
    if (place / "gone").exists():
        (place / "gone").chmod(0o755)
    if place.exists():
        call(["chmod", "-R", "u+rwX", place])
        shutil.rmtree(place)


HEAD = """# Apps

Apps as people package them, each taken all the way by a script in [tests/apps](../tests/apps): `spk init`,
`spk dev` with a client, `spk pack`, `spk check`, which has to call it good, `spk run` without the sources, a
backup of the grain, its deletion and restoration, and the upgrade to the next version. Whatever the client
wrote has to be there after each. Nothing is installed and nobody has to be root: Debian's packages, of one
release whatever the machine runs, are unpacked into a directory of one's own and become the app's root;
what comes from PyPI and npm has its version fixed.

```sh
tests/apps/all.sh               # all of them: some GB of downloads
tests/apps/all.sh radicale go   # these
tests/apps/all.sh --docs        # all, and this page anew
```

They need Debian's `apt`, Python 3, and what `spk doctor` asks for. What was downloaded (1 GB in all) and unpacked
(7 GB) stays in `/var/tmp/spk-apps-UID`, or where `SPK_APPS_CACHE` says, and may be removed at any time. Some small
ones run with every `cargo test` (`tests/tests/apps.rs`).
"""


def table(page):
    """Writes the page from the lines that `main` printed."""
    apps = sorted((json.loads(line) for line in sys.stdin), key=lambda app: app["name"])

    def mega(size):
        return f"{size / 1e6:.1f}"

    lines = [
        HEAD, "## Size and time\n",
        "Sizes in MB: of the package (\\*: compressed little, with `--fast`), of what is in it, and of the grain's",
        f"backup. Times in seconds, on {os.cpu_count()} processors: bringing the app (with what was downloaded",
        "before), the client's work in `spk dev`, packing, checking (so many requests are asked again), the client's",
        "work in the package, and all else.\n",
        "| app | package | unpacked | files | backup | get | dev | pack | check | requests | run | rest |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for app in apps:
        seconds = app["seconds"]
        shown = [seconds[stage] for stage in ("get", "dev", "pack", "check", "run")]
        rest = round(sum(seconds.values()) - sum(shown), 1)
        lines.append("| " + " | ".join(str(cell) for cell in [
            f"[{app['name']}](../tests/apps/{app['name']})", mega(app["bytes"]) + (" \\*" if app["fast"] else ""),
            mega(app["unpacked"]), app["files"], mega(app["backup"]), *shown[:4], app["requests"], shown[4],
            rest]) + " |")
    lines += ["\n## What was needed\n", "Beyond what `spk init` writes and a start script.\n",
              "| app | what it is | made of | needed |", "|---|---|---|---|"]
    lines += [f"| {app['name']} | {app['what']} | {app['stack']} | {app['needed']} |" for app in apps]
    Path(page).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    table(sys.argv[1])
