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
        ".git", ".gitignore", ".hg", ".env", ".vscode", ".idea", "rootfs",
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
      # This machine's PHP and libraries. `spk dev` finds out which of its files are used.
    ]
  ),

  fileList = "sandstorm-files.list",
  # Written by `spk dev`: the files that the app used.

  alwaysInclude = [
    "opt/app/public",
    "etc/passwd", "etc/group", "etc/hosts", "etc/nsswitch.conf", "etc/resolv.conf",
    "usr/share/zoneinfo"
  ],
  # In the package whether they were used or not. Name what you add by what it is called: this
  # directory has more in it than the app.

  bridgeConfig = (
    viewInfo = (
      permissions = [
        (name = "edit", title = (defaultText = "edit"),
         description = (defaultText = "may write and delete notes")),
      ],
      roles = [
        (title = (defaultText = "editor"), permissions = [true],
         verbPhrase = (defaultText = "can edit"), default = true),
        (title = (defaultText = "viewer"), permissions = [false],
         verbPhrase = (defaultText = "can read")),
      ],
    ),
  ),
);

const serve :Spk.Manifest.Command = (
  argv = ["/sandstorm-http-bridge", "8000", "--", "/usr/bin/php", "-d", "session.save_path=/var",
    "-d", "session.gc_probability=1", "-S", "127.0.0.1:8000", "-t", "/opt/app/public",
    "/opt/app/public/index.php"],
  # Sessions are kept where nothing has to be made first, and removed when they are old.
  environ = [
    (key = "PATH", value = "/usr/bin:/bin"),
    (key = "HOME", value = "/var"),
    (key = "LANG", value = "C.UTF-8"),
    (key = "PHP_CLI_SERVER_WORKERS", value = "4"),
    (key = "TMPDIR", value = "/tmp"),
    (key = "SANDSTORM", value = "1"),
  ]
);
