@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("myapp");
$import "/capnp/c++.capnp".namespace("again");
annotation mine @0xf00dfeedf00dfeed (struct, field, enum, enumerant, const) :Config;
annotation flag(*) :Void;
struct Config { a @0 :Text; b @1 :Int32; }
struct S $mine(a = "x", b = 3) { a @0 :Text $mine((a = "y")) $flag; union { b @1 :Int8; c @2 :Int8; } }
enum E $flag { a @0 $flag; b @1; }
const k :Int32 = 3 $flag;
const pkgdef :Spk.PackageDefinition = (id = "annotated") $mine(a = "z");
