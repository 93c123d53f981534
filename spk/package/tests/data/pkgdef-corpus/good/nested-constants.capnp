@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
struct Config { const name :Text = "n"; struct Inner { const port :UInt32 = 8000; } }
const pkgdef :Spk.PackageDefinition = (id = Config.name, manifest = (appVersion = Config.Inner.port, minApiVersion = .Config.Inner.port));
