//! Where an app listens, as its sources and its arguments say.

use super::project::{Place, Project};

/// Below this, ports cannot be bound in the sandbox.
const LOWEST_PORT: u16 = 1024;

/// What a source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listens {
    /// It takes the variable PORT.
    WhereTold,
    /// It names a port itself.
    On(u16, Place),
}

/// Calls that begin to listen, in lower case.
const CALLS: &[&str] = &[
    "listen(",
    "listenandserve(",
    "listenandservetls(",
    "net.listen(",
    "bind(",
    ".run(",
    ".start(",
    "httpserver(",
    "httpserver((",
    "tcpserver.new(",
    "tcpserver.new ",
    "tcpserver.open(",
    "make_server(",
    "run_app(",
    "serve(",
    "run_simple(",
    "start_server(",
    "create_server(",
    "addr:",
    "addr =",
    "addr=",
    "addr\",",
    "address:",
    "address =",
    "bind =",
    "bind ",
    "set :port",
];

/// Those of them that begin much else: a number alone is no port.
const OFTEN_OTHERS: &[&str] = &[".run(", ".start(", "serve("];

/// Where others listen with whom an app talks: what is called "port" and has such a number is theirs.
const OF_OTHERS: &[u16] =
    &[1025, 1433, 1521, 2525, 3306, 3389, 5432, 5433, 5672, 6379, 9092, 9200, 11211, 26379, 27017];

/// What the main file says, or else any other of the sources.
pub(super) fn of(project: &Project, main: Option<&str>, endings: &[&str]) -> Option<Listens> {
    let main = main.and_then(|main| in_source(&project.text(main), main));
    main.or_else(|| {
        project.sources(endings).iter().find_map(|file| in_source(&project.text(file), file))
    })
}

/// What one source says: that it takes PORT, or else a call that listens, or else what is called port.
pub(super) fn in_source(text: &str, file: &str) -> Option<Listens> {
    let hash = [".py", ".rb", ".ru", ".php"].iter().any(|ending| file.ends_with(ending));
    let lines: Vec<&str> = text.lines().map(|line| without_comment(line, hash)).collect();
    if lines.iter().any(|line| takes_port(line)) {
        return Some(Listens::WhereTold);
    }
    let first = |of: fn(&str) -> Option<u16>| {
        let mut found = lines.iter().enumerate().filter_map(|(at, line)| Some((at, of(line)?)));
        let (at, port) = found.next()?;
        Some(Listens::On(port, Place { file: file.to_owned(), line: at + 1 }))
    };
    first(|line| named(line).filter(|_| calls(line)))
        .or_else(|| first(called))
        .or_else(|| first(|line| named(line).filter(|port| !OF_OTHERS.contains(port))))
}

fn without_comment(line: &str, hash: bool) -> &str {
    let start = line.trim_start();
    let marks: &[&str] = if hash { &["#"] } else { &["//", "/*", "* "] };
    if marks.iter().any(|mark| start.starts_with(mark)) {
        return "";
    }
    let mark = if hash { " #" } else { " //" };
    line.find(mark).map_or(line, |end| &line[..end])
}

/// Whether a line reads the variable PORT.
fn takes_port(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    // gin's Run, without an address
    if lower.contains(".run()") && lower.trim_start().starts_with("r.") {
        return true;
    }
    lower.contains("env") && whole(line, "PORT").next().is_some()
}

fn calls(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    CALLS.iter().any(|call| lower.contains(call))
}

/// The number behind a call that listens.
fn called(line: &str) -> Option<u16> {
    let lower = line.to_ascii_lowercase();
    let begin = |call: &&str| Some((lower.find(*call)? + call.len(), OFTEN_OTHERS.contains(call)));
    let (start, is_weak) = CALLS.iter().filter_map(begin).min()?;
    let rest = &lower[start..];
    number(rest).filter(|port| {
        let text = port.to_string();
        !is_weak || [":", ", "].iter().any(|before| rest.contains(&format!("{before}{text}")))
    })
}

/// The number behind the name "port": `port = 3000`, `port: 3000`, `flag.Int("port", 8080`.
fn named(line: &str) -> Option<u16> {
    let lower = line.to_ascii_lowercase();
    whole(&lower, "port").find_map(|end| {
        let rest = lower[end..].trim_start_matches(['"', '\'']).trim_start();
        // a type between name and value
        let rest = rest.strip_prefix(": u16").or(rest.strip_prefix(": int")).unwrap_or(rest);
        let rest = rest.trim_start();
        let value = ["=>", ":=", "=", ":", ",", "||", "??"];
        let value = value.iter().find_map(|mark| rest.strip_prefix(mark))?.trim_start();
        let default = number(value)?;
        let plain =
            value.trim_start_matches(['"', '\'', ':']).starts_with(|c: char| c.is_ascii_digit());
        let other = ["||", "??", " or ", "environ", "getenv", "env"];
        (plain || other.iter().any(|mark| value.contains(mark))).then_some(default)
    })
}

/// Where a word ends in a text, each time it is there and no part of another.
fn whole<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).filter_map(move |(at, _)| {
        let end = at + word.len();
        let before = text[..at].chars().next_back().is_some_and(of_word);
        let after = text[end..].chars().next().is_some_and(of_word);
        (!before && !after).then_some(end)
    })
}

/// The first number that can be a port.
fn number(text: &str) -> Option<u16> {
    let digits = |c: char| c.is_ascii_digit();
    let mut at = 0;
    while let Some(start) = text[at..].find(digits).map(|start| at + start) {
        let end = text[start..].find(|c: char| !digits(c)).map_or(text.len(), |end| start + end);
        let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let before = text[..start].chars().next_back().is_some_and(part);
        let after = text[end..].chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
        if !before
            && !after
            && let Some(port) = port(&text[start..end])
        {
            return Some(port);
        }
        at = end;
    }
    None
}

/// A text that is the number of a port which the sandbox lets be bound.
pub(super) fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port >= LOWEST_PORT)
}

/// Options whose value has a port.
const OPTIONS: &[&str] = &[
    "-p",
    "--port",
    "-b",
    "--bind",
    "-l",
    "--listen",
    "-S",
    "-P",
    "--http",
    "--http-port",
    "--addr",
    "-addr",
    "-port",
    "--address",
    "-listen",
    "-http",
    "--server.port",
    "-Dserver.port",
    "runserver",
    "http.server",
];

/// Which word of a command has the port, where the number is in it, and the number.
pub(super) fn argument(words: &[String]) -> Option<(usize, std::ops::Range<usize>, u16)> {
    let value = |word: &str, start: usize| {
        let text = &word[start..];
        let digits = text.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
        let sound = digits == 0 || text[..digits].ends_with(':');
        port(&text[digits..]).filter(|_| sound).map(|port| (start + digits..word.len(), port))
    };
    words.iter().enumerate().skip(1).find_map(|(at, word)| {
        if OPTIONS.contains(&words[at - 1].as_str()) {
            return value(word, 0).map(|(range, port)| (at, range, port));
        }
        // `-b:9000`, `-p9000` and `--port=9000`
        let (option, _) = word.split_once('=')?;
        let (range, port) = value(word, option.len() + 1)?;
        OPTIONS.contains(&option).then_some((at, range, port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(file: &str, text: &str) -> String {
        match in_source(text, file) {
            None => "nothing".into(),
            Some(Listens::WhereTold) => "where told".into(),
            Some(Listens::On(port, place)) => format!("{port} ({place})"),
        }
    }

    #[test]
    fn sources() {
        let sources = [
            ("a.js", "server.listen(3000)"),
            ("a.js", "\n// listen(4000)\napp.listen(process.env.PORT || 3000)"),
            ("a.js", "const { PORT = 3000 } = process.env;\napp.listen(PORT)"),
            ("a.js", "const port = process.env.APP_PORT || 3001;\napp.listen(port)"),
            ("a.js", "const db = new Pool({ host: 'db', port: 5432 });\napp.listen(4000)"),
            ("a.js", "const db = new Pool({ port: 5432 });\nconst port = 4001;\napp.listen(port)"),
            ("a.js", "setTimeout(f, 5000); const dbPort = 3307;"),
            ("a.js", "app.listen(80)"),
            ("a.js", "server.listen({ host: '127.0.0.1', port: 4002 })"),
            ("a.py", "HTTPServer((\"127.0.0.1\", 8080), H)"),
            ("a.py", "# port = 1\napp.run(timeout=3000, port=5001)"),
            ("a.py", "app.run(debug=True)"),
            ("a.py", "subprocess.run(['sleep', '5000'])\ntimer.start(5000)"),
            ("a.py", "app.run('0.0.0.0', 5005)"),
            ("a.py", "port = int(os.environ.get('PORT', 5000))"),
            ("a.py", "port = int(os.environ.get('APP_PORT', 5002))"),
            ("a.py", "web.run_app(app, port = 5003)  # not 1234"),
            ("a.go", "http.ListenAndServe(\":8081\", nil)"),
            ("a.go", "port := os.Getenv(\"PORT\")\nif port == \"\" {\n port = \"8082\"\n}"),
            ("a.go", "addr := flag.String(\"addr\", \":8083\", \"where\")"),
            ("a.go", "port := flag.Int(\"port\", 8084, \"where\")"),
            ("a.go", "srv := &http.Server{\n  Addr: \"127.0.0.1:8085\",\n}"),
            ("a.go", "r.Run()"),
            ("a.go", "e.Logger.Fatal(e.Start(\":1323\"))"),
            ("a.rs", "let listener = TcpListener::bind(\"127.0.0.1:3100\")?;"),
            ("a.rs", "const PORT: u16 = 3101;"),
            ("a.rb", "server = TCPServer.new(\"127.0.0.1\", 4567)"),
            ("a.rb", "WEBrick::HTTPServer.new(Port: 4568)"),
            ("a.rb", "set :port, 4569"),
            ("a.rb", "set :port, ENV['PORT'] || 4570"),
            ("a.rb", "WEBrick::HTTPServer.new(:Port => 4571)"),
        ];
        let said: Vec<String> = sources
            .iter()
            .map(|(file, text)| format!("{}: {}", text.replace('\n', " ⏎ "), said(file, text)))
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn arguments() {
        let of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            argument(&words).map(|(at, range, port)| (words[at][..range.start].to_owned(), port))
        };
        let some = |before: &str, port| Some((before.to_owned(), port));
        assert_eq!(of("gunicorn --bind 0.0.0.0:9000 app:app"), some("0.0.0.0:", 9000));
        assert_eq!(of("uvicorn --port=9001 app:app"), some("--port=", 9001));
        assert_eq!(of("next start -p 9002"), some("", 9002));
        assert_eq!(of("puma -b tcp://127.0.0.1:9003"), some("tcp://127.0.0.1:", 9003));
        assert_eq!(of("manage.py runserver 9004"), some("", 9004));
        assert_eq!(of("java -Dserver.port=9005 -jar a.jar"), some("-Dserver.port=", 9005));
        assert_eq!(of("app --port 80"), None, "not in the sandbox");
        assert_eq!(of("app --workers 4000"), None);
        assert_eq!(of("gunicorn -b unix:/run/x9000"), None);
    }
}
