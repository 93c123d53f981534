@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const pkgdef :Spk.PackageDefinition = ( manifest = (appVersion = -1) );
