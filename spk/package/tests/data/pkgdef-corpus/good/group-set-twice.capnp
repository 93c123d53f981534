@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const pkgdef :Spk.PackageDefinition = (manifest = (metadata = (
  icons = (appGrid = (svg = "a"), grain = (svg = "b")), icons = (grain = (svg = "c")),
  license = (openSource = mit, notices = (defaultText = "n")), license = (publicDomain = (defaultText = "p")),
  author = (contactEmail = "a", upstreamAuthor = "b"), author = ())));
