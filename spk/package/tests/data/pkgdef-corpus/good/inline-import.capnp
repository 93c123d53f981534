@0x994204a9202bc200;
const t :import "/sandstorm/util.capnp".LocalizedText = (defaultText = "t");
const pkgdef :import "/sandstorm/package.capnp".PackageDefinition = (manifest = (appTitle = .t));
