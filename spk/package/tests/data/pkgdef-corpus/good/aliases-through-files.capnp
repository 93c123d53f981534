@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const env :List(Spk.Util.KeyValue) = [(key = "A", value = "1")];
const tag :Spk.ApiSession.PowerboxTag = (canonicalUrl = "https://example.com");
const pkgdef :Spk.PackageDefinition = (manifest = (continueCommand = (environ = .env)),
  bridgeConfig = (powerboxApis = [(name = "n", tag = .tag, permissions = [true, false, true])],
    viewInfo = (permissions = [(name = "edit", title = (defaultText = "edit"), obsolete = true)],
      roles = [(title = (defaultText = "r"), permissions = [true], default = true)],
      matchRequests = [(tags = [(id = 0xa8cb0f2f1a756b32, value = .tag)], quality = preferred)])));
