# eval: x
@0x994204a9202bc200;
struct S { union @0 :Text; struct @1 :Int32; using @2 :Bool; const @3 :Int8; enum @4 :Int8; group @5 :Text; import @6 :Text; annotation @7 :Text; interface @8 :Int16; }
const x :S = (union = "u", struct = 1, using = true, const = 2, enum = 3, group = "g", import = "i", annotation = "a", interface = 4);
