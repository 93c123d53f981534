@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const pkgdef :Spk.PackageDefinition = (
  manifest = (metadata = (
    icons = (appGrid = (svg = embed "../files/icon.svg"), grain = ( png = (dpi1x = embed "../files/icon.png") ),
      market = (png = (dpi2x = embed "../files/../files/empty")), marketBig = (svg = ( embed "../files/icon.svg" ))),
    pgpKeyring = embed "../files/empty", author = (pgpSignature = embed "../files/icon.png"),
    description = (defaultText = embed "../files/description.md"),
    screenshots = [(width = 746, height = 795, jpeg = embed "../files/icon.png"), (png = ""), (unknown = void)])));
