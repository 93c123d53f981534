@0xb0ac5ea1ed24a7d2;
using Spk = import "/sandstorm/package.capnp";
using Back = import "../shared.capnp";
const command :Spk.Manifest.Command = (argv = ["/bin/sh", "-c", "true"], environ = Back.environ);
const version :UInt32 = 42;
