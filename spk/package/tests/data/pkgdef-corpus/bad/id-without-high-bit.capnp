@0x123;
using Spk = import "/sandstorm/package.capnp";
const pkgdef :Spk.PackageDefinition = ();
