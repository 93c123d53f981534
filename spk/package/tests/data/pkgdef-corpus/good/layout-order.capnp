# eval: x
@0x994204a9202bc200;
struct S { z @5 :Bool; a @3 :Int64; b @1 :Bool; c @0 :Int16; d @4 :Int8; e @2 :Int32; f @6 :Text; g @7 :Bool; g1 :group { h @8 :Int16; i @9 :Data; } }
const x :S = (z = true, a = -1, b = true, c = 0x1234, d = 0x56, e = 0x789abcd, f = "f", g = true, g1 = (h = -2, i = "i"));
