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
      ( nounPhrase = (defaultText = "instance"),
        command = .serve
      )
    ],
    continueCommand = .serve,

    metadata = (
      icons = (),
      license = (none = void),
      categories = [],
      author = (contactEmail = "youremail@example.com"),
      shortDescription = (defaultText = "one-to-three words"),
    ),
  ),

  sourceMap = (
    # Where the package's files come from. Earlier entries win; paths are relative to this file.
    searchPath = [
{{searchPath}}
    ]
  ),

{{fileSelection}}

  bridgeConfig = (
    viewInfo = (
      permissions = [
        (name = "edit", title = (defaultText = "edit"),
         description = (defaultText = "may change the content")),
      ],
      roles = [
        (title = (defaultText = "editor"), permissions = [true],
         verbPhrase = (defaultText = "can edit"), default = true),
        (title = (defaultText = "viewer"), permissions = [false],
         verbPhrase = (defaultText = "can view")),
      ],
    ),
    # The app learns who is asking from headers: X-Sandstorm-Username, X-Sandstorm-User-Id and
    # X-Sandstorm-Permissions, the names of the permissions above, joined by commas.
  ),
);

const serve :Spk.Manifest.Command = (
  argv = [{{argv}}],
  environ = [
{{environ}}
  ]
);
