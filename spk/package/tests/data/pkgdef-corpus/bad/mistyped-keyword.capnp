@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
cosnt pkgdef :Spk.PackageDefinition = ();
