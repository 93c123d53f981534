@{{fileId}};

using Spk = import "/sandstorm/package.capnp";

const pkgdef :Spk.PackageDefinition = (
  id = "{{appId}}",
  # The public half of the key that signs every release; the private half is in your keyring.

  manifest = (
    appTitle = (defaultText = "{{title}}"),
    appVersion = 0,
    appMarketingVersion = (defaultText = "0.0.0"),

    actions = [
      ( nounPhrase = (defaultText = "notebook"),
        command = .serve
      )
    ],
    continueCommand = .serve,

    metadata = (
      icons = (),
      license = (none = void),
      categories = [],
      author = (contactEmail = "youremail@example.com"),
      shortDescription = (defaultText = "Notes"),
    ),
  ),

  sourceMap = (
    # Earlier entries win.
    searchPath = [
      (sourcePath = "rootfs"),
      # Files for the root of the sandbox: names of users and hosts, instead of this machine's.

      (packagePath = "opt/app", sourcePath = ".", hidePaths = [
        ".git", ".gitignore", ".hg", ".env", ".vscode", ".idea", ".venv", "__pycache__",
        "rootfs", "requirements.txt", "test_app.py", "site/bin",
        "sandstorm-pkgdef.capnp", "sandstorm-files.list", ".sandstorm-files.list.trace",
        ".sandstorm-files.list.requests",
        "{{spkName}}"
      ]),

      (sourcePath = "/", hidePaths = [
        "home", "root", "proc", "sys", "dev", "run", "tmp", "var", "boot", "mnt", "media", "srv",
        "lost+found", "opt", "etc/passwd", "etc/passwd-", "etc/group", "etc/group-", "etc/shadow",
        "etc/shadow-", "etc/gshadow", "etc/gshadow-", "etc/subuid-", "etc/subgid-", "etc/hosts",
        "etc/host.conf", "etc/nsswitch.conf", "etc/resolv.conf", "etc/ssh", "etc/ssl/private",
        "etc/sudoers", "etc/sudoers.d", "etc/security/opasswd"
      ]),
      # This machine's Python and libraries. `spk dev` finds out which of its files are used.
    ]
  ),

  fileList = "sandstorm-files.list",
  # Written by `spk dev`: the files that the app used.

  alwaysInclude = [
    "opt/app/app.py", "opt/app/schema", "opt/app/site", "opt/app/static",
    "etc/passwd", "etc/group", "etc/hosts", "etc/nsswitch.conf", "etc/resolv.conf"
  ],
  # In the package whether they were used or not. Name what you add by what it is called: this
  # directory has more in it than the app.
);

const serve :Spk.Manifest.Command = (
  argv = ["/usr/bin/python3", "-s", "-B", "/opt/app/app.py"],
  environ = [
    (key = "PATH", value = "/usr/bin:/bin"),
    (key = "HOME", value = "/var"),
    (key = "LANG", value = "C.UTF-8"),
    (key = "PYTHONPATH", value = "/opt/app/site"),
    (key = "PYTHONUNBUFFERED", value = "1"),
    (key = "SANDSTORM", value = "1"),
  ]
);
