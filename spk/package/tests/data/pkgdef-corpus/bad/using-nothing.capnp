@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
using Spk;
const pkgdef :Spk.PackageDefinition = ();
