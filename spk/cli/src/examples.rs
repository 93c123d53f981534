//! Examples of every subcommand, for its help, its man page and the reference. Tests parse them.

/// A command line, and what it does; nothing where that is plain.
type Example = (&'static str, &'static str);

/// By the words after `spk`.
const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "init",
        &[
            ("spk init --template python", "a small app to start from"),
            ("spk init", "in the directory of an app: proposes command and port"),
            ("spk init --image app.tar", "of a container image (docker save)"),
            ("spk init --var /app/cache", "one more directory that the app can write to"),
            ("spk init -p 8000 -- /usr/bin/python3 /opt/app/server.py", "an app of your own"),
        ],
    ),
    ("keygen", &[("spk keygen", "prints the new app ID")]),
    ("listkeys", &[("spk listkeys", ""), ("spk listkeys --json", "")]),
    (
        "getkey",
        &[(
            "spk getkey vjvekechd398fn1t1kn1dgdnmaekqq9jkjv3zsgzymc4z913ref0 > copy.keyring",
            "a backup of one key",
        )],
    ),
    ("rekey", &[("spk rekey --dry-run", "what would be changed"), ("spk rekey", "")]),
    (
        "dev",
        &[
            ("spk dev", "open the URL, use everything, then Ctrl-C"),
            ("spk dev --watch", "starts the app again when its files change"),
            ("spk dev --record", "also keeps the requests, for spk check"),
            ("spk dev --json --port 6080", "for scripts"),
            ("spk dev --exec npm run test:e2e", "the tests use the app, and end it"),
            ("spk dev --crawl", "follows all links in each role, and ends"),
        ],
    ),
    ("files why", &[("spk files why usr/lib/os-release", "who used it")]),
    ("files diff", &[("spk files diff", "")]),
    ("files prune", &[("spk files prune --dry-run", "")]),
    ("files closure", &[("spk files closure", ""), ("spk files closure --take", "")]),
    ("files coverage", &[("spk files coverage", "after spk dev --crawl, say")]),
    (
        "pack",
        &[
            ("spk pack app.spk", ""),
            ("spk pack --fast app.spk", "larger, for trying"),
            ("spk pack --report app.spk", "what makes it large"),
        ],
    ),
    ("check", &[("spk check app.spk", ""), ("spk check --strict --json app.spk", "in CI")]),
    (
        "verify",
        &[("spk verify app.spk", ""), ("curl -s https://example.org/app.spk | spk verify -", "")],
    ),
    ("unpack", &[("spk unpack app.spk", "to app/"), ("spk unpack - dir < app.spk", "")]),
    (
        "publish",
        &[
            ("spk publish --webkey https://example.org/index#TOKEN app.spk", ""),
            ("spk publish --status app.spk", "with SPK_WEBKEY set"),
        ],
    ),
    ("ls", &[("spk ls app.spk", ""), ("spk ls -l app.spk opt/app", "what is below opt/app")]),
    ("diff", &[("spk diff old.spk new.spk", "what a release changes")]),
    ("cat", &[("spk cat app.spk opt/app/app.py", "")]),
    (
        "run",
        &[
            ("spk run app.spk", "a new grain"),
            ("spk run app.spk --grain 8fKc", "that grain again; the beginning of its ID will do"),
            (
                "spk run app.spk --grain 8fKc --user bob --permissions view",
                "the same grain as somebody else",
            ),
            ("spk run app.spk --explain", "names what the sandbox denies"),
        ],
    ),
    ("grain list", &[("spk grain list", ""), ("spk grain list --json", "")]),
    ("grain show", &[("spk grain show 8fKc", "")]),
    ("grain new", &[("spk grain new app.spk --title Holidays", "")]),
    ("grain open", &[("spk grain open 8fKc", "")]),
    ("grain stop", &[("spk grain stop 8fKc", "")]),
    ("grain rename", &[("spk grain rename 8fKc Holidays", "")]),
    ("grain upgrade", &[("spk grain upgrade 8fKc new.spk", "")]),
    (
        "grain export",
        &[
            ("spk grain export 8fKc -o holidays.zip", ""),
            ("spk grain export --all -o backups", "one file for each grain"),
            ("spk grain export 8fKc -o - | ssh host spk grain restore -", ""),
        ],
    ),
    (
        "grain restore",
        &[
            ("spk grain restore holidays.zip", ""),
            ("spk grain restore --dry-run holidays.zip", "reads all of it, and makes nothing"),
            ("spk grain restore holidays.zip --package app.spk", ""),
        ],
    ),
    ("grain delete", &[("spk grain delete 8fKc", "a backup is kept for 30 days")]),
    ("grain log", &[("spk grain log 8fKc", ""), ("spk grain log -f 8fKc", "goes on")]),
    (
        "grain share",
        &[("spk grain share 8fKc --to bob --role viewer", ""), ("spk grain share 8fKc --list", "")],
    ),
    ("grain token", &[("spk grain token 8fKc --role viewer --label calendar", "for a program")]),
    (
        "grain shell",
        &[
            ("spk grain shell 8fKc", "with the app's data, while it is stopped"),
            ("spk grain shell 8fKc -- ls -l /var", "one command"),
        ],
    ),
    ("grain size", &[("spk grain size", "of all grains")]),
    ("grain gc", &[("spk grain gc --dry-run", "what would be removed"), ("spk grain gc", "")]),
    (
        "doctor",
        &[
            ("spk doctor", ""),
            ("spk doctor --clean", "after a crash: stale mounts and half-made things"),
        ],
    ),
    (
        "oci",
        &[
            ("spk oci app.spk -o app.tar", "for podman load, docker load"),
            ("spk oci app.spk -o app-image --format dir", "an OCI image layout"),
        ],
    ),
    (
        "completions",
        &[
            ("spk completions bash > ~/.local/share/bash-completion/completions/spk", ""),
            ("spk completions fish > ~/.config/fish/completions/spk.fish", ""),
        ],
    ),
];

/// The examples of a subcommand.
pub fn of(path: &str) -> &'static [Example] {
    EXAMPLES.iter().find(|(of, _)| *of == path).map_or(&[], |(_, examples)| examples)
}

/// Them as they stand in the help; nothing for a command without.
pub fn help(path: &str) -> Option<String> {
    let examples = of(path);
    if examples.is_empty() {
        return None;
    }
    let width = examples.iter().map(|(line, _)| line.len()).max().unwrap_or_default();
    let lines = examples.iter().map(|(line, what)| match *what {
        "" => format!("  {line}"),
        what if width > LONGEST_BESIDE => format!("  {line}\n      # {what}"),
        what => format!("  {line:width$}  # {what}"),
    });
    Some(format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n")))
}

/// Longer lines have their remark below.
const LONGEST_BESIDE: usize = 50;
