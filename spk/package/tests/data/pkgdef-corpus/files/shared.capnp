@0xb0ac5ea1ed24a7d1;
# Imported by several definitions.
using Util = import "/sandstorm/util.capnp";
const environ :List(Util.KeyValue) = [(key = "PATH", value = "/usr/bin:/bin"), (key = "SHARED", value = "1")];
const title :Util.LocalizedText = (defaultText = "Shared title");
using More = import "sub/more.capnp";
const icon :Data = embed "icon.png";
struct Settings {
  name @0 :Text = "unnamed";
  level @1 :Level = high;
  enum Level { low @0; high @1; }
  const best :Level = high;
}
