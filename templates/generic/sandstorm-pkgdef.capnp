@{{fileId}};

using Spk = import "/sandstorm/package.capnp";

const pkgdef :Spk.PackageDefinition = (
  # What `spk dev`, `spk pack` and `spk run` read. `spk` looks for this constant by name.

  id = "{{appId}}",
  # The app ID: the public half of the key that signs every release. The private half is in your
  # keyring; without it no update can be published, so back the keyring up.

  manifest = (
    # What goes into the package for the platform to read.

    appTitle = (defaultText = "Example App"),

    appVersion = 0,
    # Raise it with every release; users get the highest.

    appMarketingVersion = (defaultText = "0.0.0"),
    # The version as people write it.

    actions = [
      ( nounPhrase = (defaultText = "instance"),
        command = .myCommand
      )
    ],
    # The ways to make a new grain: "New instance".

    continueCommand = .myCommand,
    # Starts an existing grain again.

    metadata = (
      # How the app presents itself. Icons, screenshots and texts are files beside this one.
      icons = (
        #appGrid = (svg = embed "icons/app-128x128.svg"),
        #grain = (svg = embed "icons/grain-24x24.svg"),
        #market = (svg = embed "icons/market-150x150.svg"),
        #marketBig = (svg = embed "icons/market-300x300.svg"),
      ),

      website = "http://example.com",
      codeUrl = "http://example.com",
      # The second is expected by licenses that require the source to be available.

      license = (none = void),
      # Such as (openSource = apache2), or (proprietary = (defaultText = embed "license.txt")).

      categories = [],
      # Best first: productivity, communications, social, webPublishing, office, developerTools,
      # science, media, games, graphics, other.

      author = (
        contactEmail = "youremail@example.com",
        # Somebody reads it.

        #pgpSignature = embed "pgp-signature",
        # Made with:
        #   printf %s "I am the author of the Sandstorm.io app with the following ID: {{appId}}" \
        #     | gpg --sign > pgp-signature

        upstreamAuthor = "Example App Team",
        # Who wrote the app, when that is not who packages it; else remove the line.
      ),

      #pgpKeyring = embed "pgp-keyring",
      # Made with: gpg --export KEY-ID > pgp-keyring

      #description = (defaultText = embed "description.md"),

      shortDescription = (defaultText = "one-to-three words"),

      screenshots = [
        #(width = 746, height = 795, jpeg = embed "screenshot.jpeg"),
      ],
      #changeLog = (defaultText = embed "changelog.md"),
    ),
  ),

  sourceMap = (
    # Where the package's files come from on this machine. Earlier entries win.
    searchPath = [
{{searchPath}}
    ]
  ),

{{fileSelection}}

  #bridgeConfig = (
  #  # For HTTP apps: the permissions and roles that users can give each other.
  #  viewInfo = (
  #    permissions = [
  #      (name = "editor", title = (defaultText = "editor"),
  #       description = (defaultText = "may change the content")),
  #    ],
  #    roles = [
  #      (title = (defaultText = "editor"), permissions = [true],
  #       verbPhrase = (defaultText = "can edit")),
  #      (title = (defaultText = "viewer"), permissions = [false],
  #       verbPhrase = (defaultText = "can view")),
  #    ],
  #  ),
  #  #apiPath = "/api/",
  #),
);

const myCommand :Spk.Manifest.Command = (
  # The program and its arguments; there is no shell, and the environment is exactly this one.
  argv = [{{argv}}],
  environ = [
    (key = "PATH", value = "/usr/local/bin:/usr/bin:/bin"),
    (key = "HOME", value = "/var"),
    (key = "SANDSTORM", value = "1"),
    # Lets the app know where it runs.
  ]
);
