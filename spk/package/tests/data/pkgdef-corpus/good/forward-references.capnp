@0x994204a9202bc200;
const pkgdef :Spk.PackageDefinition = (manifest = (continueCommand = .later));
const later :Later = (argv = ["a"]);
using Later = Spk.Manifest.Command;
using Spk = import "/sandstorm/package.capnp";
