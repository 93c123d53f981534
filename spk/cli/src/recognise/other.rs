//! Node, compiled programs, and sites of files.

use super::{Found, PORT, Project, port_in, program};

/// Usual names of a server's main file.
const MAINS: &[&str] = &["server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs"];

/// `package.json` with something to start.
pub(super) fn node(project: &Project) -> Option<Found> {
    project.has("package.json").then_some(())?;
    let package: serde_json::Value = serde_json::from_str(&project.text("package.json")).ok()?;
    let mut words = package["scripts"]["start"].as_str().unwrap_or_default().split_whitespace();
    let mut arguments: Vec<String> = Vec::new();
    if words.next() == Some("node") {
        arguments = words.map(str::to_owned).collect();
    }
    let main = match arguments.iter_mut().find(|word| project.has(word.trim_start_matches("./"))) {
        Some(word) => {
            let main = word.trim_start_matches("./").to_owned();
            *word = format!("/opt/app/{main}");
            main
        }
        None => {
            let named = package["main"].as_str().map(|main| main.trim_start_matches("./"));
            let main = named.filter(|main| project.has(main)).or_else(|| project.first(MAINS))?;
            arguments = vec![format!("/opt/app/{main}")];
            main.to_owned()
        }
    };
    arguments.insert(0, program("node"));
    let needs = package["dependencies"].as_object().is_some_and(|all| !all.is_empty());
    let prepare = if project.has("package-lock.json") {
        "npm ci --omit=dev"
    } else {
        "npm install --omit=dev"
    };
    Some(Found {
        what: "a Node app".into(),
        by: "package.json".into(),
        name: package["name"].as_str().map(str::to_owned),
        port: port_in(&project.text(&main)).unwrap_or(PORT),
        command: arguments,
        environ: vec![("NODE_ENV".into(), "production".into())],
        prepare: needs.then(|| prepare.to_owned()),
        ..Found::default()
    })
}

/// `Cargo.toml` of a program.
pub(super) fn rust(project: &Project) -> Option<Found> {
    project.has("Cargo.toml").then_some(())?;
    let name = toml_name(&project.text("Cargo.toml"), "[package]")?;
    let target = "x86_64-unknown-linux-gnu";
    Some(compiled(
        "a Rust app",
        "Cargo.toml",
        name.clone(),
        format!("target/{target}/release/{name}"),
        format!(
            "RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target {target}"
        ),
    ))
}

/// `go.mod`.
pub(super) fn go(project: &Project) -> Option<Found> {
    project.has("go.mod").then_some(())?;
    let text = project.text("go.mod");
    let module = text.lines().find_map(|line| line.strip_prefix("module "))?;
    let name = module.trim().rsplit('/').next()?.to_owned();
    Some(compiled(
        "a Go app",
        "go.mod",
        name,
        ".sandstorm/app".into(),
        "CGO_ENABLED=0 go build -trimpath -tags netgo,osusergo,timetzdata -o .sandstorm/app ."
            .into(),
    ))
}

fn compiled(what: &str, by: &str, name: String, program: String, prepare: String) -> Found {
    Found {
        what: what.into(),
        by: by.into(),
        name: Some(name),
        port: PORT,
        command: vec!["/app".into()],
        program: Some(program),
        prepare: Some(prepare),
        ..Found::default()
    }
}

/// Files for a browser.
pub(super) fn site(project: &Project) -> Option<Found> {
    let places = [
        ("public/index.html", "/opt/app/public"),
        ("dist/index.html", "/opt/app/dist"),
        ("build/index.html", "/opt/app/build"),
        ("_site/index.html", "/opt/app/_site"),
        ("index.html", "/opt/app"),
    ];
    let (index, root) = places.iter().find(|(index, _)| project.has(index))?;
    Some(Found {
        what: "a web site of files".into(),
        by: (*index).into(),
        port: PORT,
        command: [program("python3").as_str(), "-s", "-B", "/opt/server.py"]
            .map(str::to_owned)
            .to_vec(),
        environ: vec![("SITE_ROOT".into(), (*root).into())],
        static_server: true,
        ..Found::default()
    })
}

/// `name = "…"` in a section of a TOML file; not a whole TOML reader, for a proposal.
pub(super) fn toml_name(text: &str, section: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != section).skip(1);
    let line = lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .find_map(|line| line.strip_prefix("name").map(str::trim_start)?.strip_prefix('='))?;
    let name = line.trim().strip_prefix('"')?.split('"').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}
