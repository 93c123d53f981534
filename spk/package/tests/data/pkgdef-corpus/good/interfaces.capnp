@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
using Util = import "/sandstorm/util.capnp";
interface App extends(Util.Handle) {
  run @0 (argument :Text = "default", list :List(Int32)) -> (result :Text);
  stop @1 () -> ();
  write @2 (data :Data) -> stream;
  shared @3 Args -> Args;
  struct Args { a @0 :Text; }
  enum Kind { one @0; two @1; }
  const answer :UInt32 = 42;
}
interface Empty {}
const pkgdef :Spk.PackageDefinition = (manifest = (appVersion = App.answer, appTitle = (defaultText = "i")));
