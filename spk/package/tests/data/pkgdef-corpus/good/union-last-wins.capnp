@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const a :Spk.Metadata = (license = (openSource = mit, publicDomain = (defaultText = "p")));
const b :Spk.Metadata = (license = (proprietary = (defaultText = "x"), none = void));
const c :Spk.Metadata.Icon = (svg = "x", png = (dpi2x = "2"));
const d :Spk.Metadata.Icon = (png = (dpi1x = "1", dpi2x = "2"), unknown = void);
const pkgdef :Spk.PackageDefinition = (manifest = (metadata = .a, metadata = .b, metadata = (icons = (appGrid = .c, grain = .d))),
  id = "first", id = "second");
