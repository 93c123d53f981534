@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const icon :Spk.Metadata.Icon = (svg = embed "../files/icon.svg");
const pkgdef :Spk.PackageDefinition = (
  id = "e3vedgtpyw8nu64ddew0g368v5mgu9kz0622qqy8yux6my5mawph",
  manifest = (minApiVersion = 0, maxApiVersion = 0, appVersion = 3, minUpgradableAppVersion = 1,
    appTitle = (defaultText = "T", localizations = [(locale = "de", text = "Ü"), (locale = "fr")]),
    appMarketingVersion = (defaultText = "1.2.3"),
    actions = [(title = (defaultText = "t"), description = (defaultText = "d"), nounPhrase = (defaultText = "n"),
      input = (none = void), command = .start)],
    continueCommand = (deprecatedExecutablePath = "/old", argv = ["a", "b c", ""], environ = [(key = "K", value = "V=W")]),
    metadata = (icons = (appGrid = .icon, grain = .icon, market = .icon, marketBig = .icon), website = "https://a", codeUrl = "https://b",
      license = (openSource = apache2), categories = [productivity, developerTools], author = (contactEmail = "c", pgpSignature = 0x"01", upstreamAuthor = "u"),
      pgpKeyring = 0x"02", description = (defaultText = "d"), shortDescription = (defaultText = "s"),
      screenshots = [(width = 1, height = 2, png = 0x"03")], changeLog = (defaultText = "c"))),
  sourceMap = (searchPath = [(sourcePath = "."), (packagePath = "opt/app", sourcePath = "..", hidePaths = [".git", "x/y"])]),
  fileList = "sandstorm-files.list", alwaysInclude = [".", "opt/app"],
  bridgeConfig = (viewInfo = (permissions = [(name = "p")], roles = [(title = (defaultText = "r"), permissions = [true], verbPhrase = (defaultText = "v"), description = (defaultText = "d"))],
      deniedPermissions = [false, true], appTitle = (defaultText = "a"), eventTypes = []), apiPath = "/api/"));
const start :Spk.Manifest.Command = (argv = ["/sandstorm-http-bridge", "8000", "--", "/start"], environ = [(key = "A", value = "1"),]);
