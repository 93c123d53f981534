@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
# stricter: capnp takes the low eight bits
const pkgdef :Spk.PackageDefinition = ( id = "\777" );
