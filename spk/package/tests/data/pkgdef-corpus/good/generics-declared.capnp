@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
struct Box(T) { value @0 :T; count @1 :UInt32; }
struct User { boxes @0 :List(Box(Text)); plain @1 :Box; n @2 :UInt8; }
const user :User = (n = 3, plain = (count = 5));
const pkgdef :Spk.PackageDefinition = (id = "generic");
