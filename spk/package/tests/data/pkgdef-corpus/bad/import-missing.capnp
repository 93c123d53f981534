@0x994204a9202bc200;
using Spk = import "/sandstorm/pakage.capnp";
const pkgdef :Spk.PackageDefinition = ();
