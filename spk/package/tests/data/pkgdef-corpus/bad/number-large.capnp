@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
# stricter: capnp takes the low 64 bits
const pkgdef :Spk.PackageDefinition = ( manifest = (appVersion = 18446744073709551617) );
