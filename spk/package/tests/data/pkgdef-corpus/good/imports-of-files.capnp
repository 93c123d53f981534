@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
using Shared = import "../files/shared.capnp";
using More = import "../files/./sub/../sub/more.capnp";
const pkgdef :Spk.PackageDefinition = (
  manifest = (appTitle = Shared.title, appVersion = More.version, minUpgradableAppVersion = Shared.More.version,
    continueCommand = More.command, actions = [(command = Shared.More.command)],
    metadata = (pgpKeyring = Shared.icon)),
);
