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
    searchPath = [
      (sourcePath = "rootfs"),
      # Files for the root of the sandbox: names of users and hosts.

      (packagePath = "app", sourcePath = "target/x86_64-unknown-linux-gnu/release/notes"),
      # One static program: nothing of this machine is needed.
    ]
  ),

  alwaysInclude = ["."],
  # Everything in the source map, so no tracing is needed.

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
  argv = ["/sandstorm-http-bridge", "8000", "--", "/app"],
  environ = [
    (key = "HOME", value = "/var"),
    (key = "SANDSTORM", value = "1"),
  ]
);
