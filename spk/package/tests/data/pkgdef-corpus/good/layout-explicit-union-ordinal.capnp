# eval: x
@0x994204a9202bc200;
struct S { a @0 :Int8; u @1! :union { b @2 :Int8; c @3 :Int16; } d @4 :Int64; e @5 :Bool; }
const x :S = (a = 1, u = (c = -2), d = 3, e = true);
