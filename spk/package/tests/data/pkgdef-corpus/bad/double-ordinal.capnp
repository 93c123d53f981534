@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const pkgdef :Spk.PackageDefinition = ( id = "a" );
struct S { a @0 :Text; b @0 :Text; }
