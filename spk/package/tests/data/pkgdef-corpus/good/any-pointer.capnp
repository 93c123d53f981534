@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
using Powerbox = import "/sandstorm/powerbox.capnp";
struct Tag { name @0 :Text; n @1 :UInt32; }
const tag :Tag = (name = "t", n = 3);
const list :List(UInt16) = [1, 2];
const pkgdef :Spk.PackageDefinition = (bridgeConfig = (viewInfo = (matchOffers = [(tags = [(id = 1, value = .tag), (id = 2, value = .list), (id = 3)])]),
  saveIdentityCaps = true, expectAppHooks = true, apiPath = "/api/"));
