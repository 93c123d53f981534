@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
using Other = import "other.capnp";
const pkgdef :Spk.PackageDefinition = (id = Other.id);
