using Spk = import "/sandstorm/package.capnp";
const pkgdef :Spk.PackageDefinition = ();
