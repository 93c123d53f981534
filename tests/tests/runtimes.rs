//! What people package must run in the sandbox, without `/proc`, each doing a little real work.
//!
//! The package is this machine's `/usr`, hard-linked once into `/var/tmp/spk-test-runtimes` and kept
//! until its packages change (`tests/runtimes.sh`): linking needs root, or sudo without a question.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use spk_tests::Who;
use spk_tests::bins::copy_program;
use spk_tests::skip::skip;

const HOSTILE: &str = env!("CARGO_BIN_EXE_spk-hostile");
const ROOT: &str = "/var/tmp/spk-test-runtimes";

/// The package, or why there is none.
fn package() -> Result<&'static Path, &'static str> {
    static MADE: OnceLock<Result<(), &'static str>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let modified = |path: &str| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let stamp = format!("{ROOT}/.complete");
        if modified(&stamp) > modified("/var/lib/dpkg/status") {
            return Ok(());
        }
        // Linking what belongs to root needs root; tests/setup.sh has asked for sudo before.
        let mut link = if nix::unistd::geteuid().is_root() {
            Command::new("sh")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "sh"]);
            sudo
        };
        match link.args(["-c", include_str!("../runtimes.sh"), "sh", ROOT]).status() {
            Ok(status) if status.success() => Ok(()),
            _ if nix::unistd::geteuid().is_root() => panic!("the runtimes cannot be linked"),
            _ => Err("the package of runtimes has to be linked by root or with sudo"),
        }
    });
    made.map(|()| Path::new(ROOT))
}

fn on_path(program: &str) -> bool {
    ["/usr/bin", "/usr/sbin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// Runs `script` with `/bin/sh` in the sandbox, with `files` in `/var`; it must print `expected`.
fn run(name: &str, needs: &[&str], files: &[(&str, &[u8])], script: &str, expected: &str) {
    if let Some(missing) = needs.iter().find(|program| !on_path(program)) {
        return skip(name, &format!("{missing} is not installed"));
    }
    let package = match package() {
        Ok(package) => package,
        Err(reason) => return skip(name, reason),
    };
    for who in Who::all(name) {
        let dir = tempfile::Builder::new().prefix("runtime-").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let launcher = dir.path().join("launcher");
        copy_program(Path::new(HOSTILE), &launcher);
        let var = dir.path().join("var");
        std::fs::create_dir(&var).unwrap();
        for (file, content) in files {
            std::fs::write(var.join(file), content).unwrap();
            std::fs::set_permissions(var.join(file), PermissionsExt::from_mode(0o755)).unwrap();
        }
        who.own(dir.path());
        let output = who
            .command("timeout", Path::new("/"))
            .arg("120")
            .arg(&launcher)
            .arg("launch")
            .arg(package)
            .arg(&var)
            .args(["-", "-", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/var", "LC_ALL=C.UTF-8"])
            .args(["--", "/bin/sh", "-c", script])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains(expected) && output.status.success(),
            "{name} as {who:?}: {}\n{said}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Waits for a server on a port, asks it over HTTP, and prints the answer. In Perl, which is there
/// on every Debian.
const FETCH: &str = r#"fetch() { perl -MIO::Socket::INET -e '
    for (1..600) { $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") and last; select undef, undef, undef, 0.05 }
    $s or die "no server"; print $s "GET / HTTP/1.0\r\nHost: x\r\n\r\n"; print <$s>' "$1"; }
"#;

#[test]
fn cpython() {
    let script = br#"
import asyncio, multiprocessing, sqlite3, subprocess, threading, os, ssl, tempfile
def square(n): return n * n
def main():
    seen = []
    threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(20)]
    [t.start() for t in threads]; [t.join() for t in threads]
    assert sorted(seen) == list(range(20))
    async def talk():
        async def serve(r, w): w.write((await r.readline()).upper()); await w.drain(); w.close()
        server = await asyncio.start_server(serve, '127.0.0.1', 8000)
        r, w = await asyncio.open_connection('127.0.0.1', 8000)
        w.write(b'hello\n'); return await r.readline()
    assert asyncio.run(talk()) == b'HELLO\n'
    for kind in ('fork', 'spawn'):
        with multiprocessing.get_context(kind).Pool(2) as pool:
            assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
    db = sqlite3.connect('/var/db'); db.execute('pragma journal_mode=wal')
    db.execute('create table t (x)'); db.execute('insert into t values (42)'); db.commit()
    assert db.execute('select x from t').fetchone() == (42,)
    assert subprocess.run(['echo', 'child'], capture_output=True).stdout == b'child\n'
    with open('/var/f', 'wb') as f: os.posix_fallocate(f.fileno(), 0, 4096)
    print('python works')
if __name__ == '__main__': main()
"#;
    run("cpython", &["python3"], &[("a.py", script)], "python3 /var/a.py", "python works");
}

#[test]
fn node() {
    let script = br#"
const { Worker, isMainThread, parentPort } = require('worker_threads');
const http = require('http'), os = require('os'), fs = require('fs');
if (!isMainThread) { parentPort.postMessage(6 * 7); return; }
const child = require('child_process').execFileSync('/bin/echo', ['child']).toString();
os.networkInterfaces();
new Worker(__filename).on('message', answer => {
  const server = http.createServer((q, s) => s.end('served')).listen(8000, '127.0.0.1', () =>
    http.get('http://127.0.0.1:8000/', r => r.on('data', d => {
      fs.writeFileSync('/var/x', d);
      console.log('node works', answer, child.trim(), d.toString()); process.exit(0); })));
});
"#;
    let expected = "node works 42 child served";
    run("node", &["node"], &[("a.js", script)], "node /var/a.js", expected);
}

#[test]
fn php() {
    let script = format!("{FETCH} php -S 127.0.0.1:8000 -t /var & fetch 8000; kill $!");
    let page = b"<?php echo 'php ', array_sum([40, 2]), ' works';";
    run("php", &["php", "perl"], &[("index.php", page)], &script, "php 42 works");
}

#[test]
fn ruby() {
    let script = br#"
require 'socket'
server = TCPServer.new('127.0.0.1', 8000)
thread = Thread.new { server.accept.puts('served') }
said = TCPSocket.new('127.0.0.1', 8000).gets
reader, writer = IO.pipe
fork { writer.puts 'forked'; exit!(0) }
puts "ruby works #{said.chomp} #{reader.gets}"
"#;
    run("ruby", &["ruby"], &[("a.rb", script)], "ruby /var/a.rb", "ruby works served forked");
}

#[test]
fn perl() {
    let script = br#"
pipe(R, W); if (!fork) { print W "child\n"; close W; exit 0 } wait;
print "perl works ", scalar(<R>);
"#;
    run("perl", &["perl"], &[("a.pl", script)], "perl /var/a.pl", "perl works child");
}

/// A program built here by `compiler`, or `None`, said loudly.
fn build(name: &str, compiler: &str, source: &str, file: &str, args: &[&str]) -> Option<Vec<u8>> {
    if !on_path(compiler) {
        skip(name, &format!("{compiler} is not installed"));
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(file), source).unwrap();
    let output = Command::new(compiler)
        .args(args)
        .arg(file)
        .current_dir(dir.path())
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", std::env::temp_dir().join("spk-test-gocache"))
        .env("GOFLAGS", "-mod=mod")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(std::fs::read(dir.path().join("out")).unwrap())
}

#[test]
fn go() {
    let source = r#"package main
import ("fmt"; "io"; "net"; "net/http"; "net/http/httputil"; "net/url"; "sync")
func main() {
	var wait sync.WaitGroup
	for i := 0; i < 100; i++ { wait.Add(1); go func() { wait.Done() }() }
	wait.Wait()
	l, err := net.Listen("tcp", "127.0.0.1:8000"); if err != nil { panic(err) }
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served") }))
	p, err := net.Listen("tcp", "127.0.0.1:8001"); if err != nil { panic(err) }
	to, _ := url.Parse("http://127.0.0.1:8000")
	go http.Serve(p, httputil.NewSingleHostReverseProxy(to))
	r, err := http.Get("http://127.0.0.1:8001/"); if err != nil { panic(err) }
	b, _ := io.ReadAll(r.Body)
	fmt.Println("go works", string(b))
}
"#;
    if let Some(program) = build("go", "go", source, "a.go", &["build", "-o", "out"]) {
        run("go", &[], &[("go", &program)], "/var/go", "go works served");
    }
}

#[test]
fn musl() {
    let source = r#"
#include <pthread.h>
#include <stdio.h>
static void *work(void *arg) { *(int *)arg = 42; return 0; }
int main(void) {
    pthread_t thread; int answer = 0;
    if (pthread_create(&thread, 0, work, &answer)) return 1;
    pthread_join(thread, 0); printf("musl works %d\n", answer); return 0;
}
"#;
    let args = ["-static", "-o", "out"];
    if let Some(program) = build("musl", "musl-gcc", source, "a.c", &args) {
        run("musl", &[], &[("musl", &program)], "/var/musl", "musl works 42");
    }
}

#[test]
fn java() {
    // Without /proc the launcher cannot find its own libraries.
    let home = std::fs::canonicalize("/usr/bin/java").ok();
    let home = home.and_then(|path| Some(path.parent()?.parent()?.to_owned()));
    let Some(home): Option<PathBuf> = home else { return skip("java", "java is not installed") };
    let home = home.display();
    let source = r#"
import com.sun.net.httpserver.HttpServer;
import java.net.*; import java.net.http.*;
public class A { public static void main(String[] args) throws Exception {
  Thread[] threads = new Thread[20];
  for (int i = 0; i < 20; i++) { threads[i] = new Thread(() -> {}); threads[i].start(); }
  for (Thread thread : threads) thread.join();
  HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 8000), 0);
  server.createContext("/", x -> { x.sendResponseHeaders(200, 6); x.getResponseBody().write("served".getBytes()); x.close(); });
  server.start();
  String said = HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create("http://127.0.0.1:8000/")).build(),
    HttpResponse.BodyHandlers.ofString()).body();
  System.out.println("java works " + said); System.exit(0); } }
"#;
    if !on_path("javac") {
        return skip("java", "javac is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("A.java"), source).unwrap();
    let done = Command::new("javac").arg("A.java").current_dir(dir.path()).status().unwrap();
    assert!(done.success());
    let class = std::fs::read(dir.path().join("A.class")).unwrap();
    let script = format!(
        "export LD_LIBRARY_PATH={home}/lib:{home}/lib/server; {home}/bin/java -Xmx256m -cp /var A"
    );
    run("java", &["java"], &[("A.class", &class)], &script, "java works served");
}

#[test]
fn postgresql() {
    let Ok(mut versions) = std::fs::read_dir("/usr/lib/postgresql") else {
        return skip("postgresql", "PostgreSQL is not installed");
    };
    let bin = versions.next().unwrap().unwrap().path().join("bin");
    let bin = bin.display();
    let script = format!(
        "{bin}/initdb -D /var/pg -U app -A trust --no-sync >/var/log 2>&1 || {{ cat /var/log; exit 1; }}
         {bin}/postgres -D /var/pg -k /tmp -c listen_addresses=127.0.0.1 >/var/log 2>&1 &
         n=0; until {bin}/pg_isready -q -h /tmp; do n=$((n+1)); [ $n -lt 600 ] || {{ cat /var/log; exit 1; }}; sleep 0.1; done
         {bin}/psql -h 127.0.0.1 -U app postgres -Atc 'create table t (x int);
            insert into t select generate_series(1, 1000); select $$postgres works $$ || sum(x) from t'
         kill -INT $!; wait $!"
    );
    run("postgresql", &[], &[], &script, "postgres works 500500");
}

#[test]
fn mariadb() {
    let script = "mariadb-install-db --no-defaults --datadir=/var/my --auth-root-authentication-method=normal --skip-test-db >/var/log 2>&1 || { cat /var/log; exit 1; }
        mariadbd --no-defaults --datadir=/var/my --socket=/tmp/my.sock --skip-networking --tmpdir=/var >/var/log 2>&1 &
        n=0; until mariadb-admin --no-defaults -S /tmp/my.sock -u root ping >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 600 ] || { cat /var/log; exit 1; }; sleep 0.1; done
        mariadb --no-defaults -S /tmp/my.sock -u root -Ne 'create database d; create table d.t (x int) engine=innodb;
            insert into d.t values (40), (2); select concat(\"mariadb works \", sum(x)) from d.t'
        mariadb-admin --no-defaults -S /tmp/my.sock -u root shutdown; wait $!";
    run("mariadb", &["mariadbd", "mariadb-install-db"], &[], script, "mariadb works 42");
}

#[test]
fn redis() {
    let script = "cd /var && redis-server --port 6379 --bind 127.0.0.1 --appendonly yes >/var/log 2>&1 &
        n=0; until redis-cli ping >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 600 ] || { cat /var/log; exit 1; }; sleep 0.1; done
        redis-cli set x 42 >/dev/null; redis-cli bgsave >/dev/null; echo redis works $(redis-cli get x)
        redis-cli shutdown; wait";
    run("redis", &["redis-server", "redis-cli"], &[], script, "redis works 42");
}

#[test]
fn nginx() {
    let config = b"daemon off; worker_processes 2; pid /tmp/pid; error_log stderr;
events { }
http { access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;
  uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
  server { listen 127.0.0.1:8000; location / { return 200 'nginx works'; } } }";
    let script =
        format!("{FETCH} nginx -p /tmp -c /var/nginx.conf & fetch 8000; kill -QUIT $!; wait $!");
    run("nginx", &["nginx", "perl"], &[("nginx.conf", config)], &script, "nginx works");
}
