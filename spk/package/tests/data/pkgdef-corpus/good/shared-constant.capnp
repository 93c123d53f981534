@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const env :List(Spk.Util.KeyValue) = [(key = "PATH", value = "/bin")];
const cmd :Spk.Manifest.Command = (argv = ["/app"], environ = .env);
const pkgdef :Spk.PackageDefinition = (manifest = (actions = [(command = .cmd), (command = .cmd), (command = (argv = ["b"], environ = .env))], continueCommand = .cmd));
