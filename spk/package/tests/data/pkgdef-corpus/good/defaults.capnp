# eval: x
@0x994204a9202bc200;
struct S { a @0 :Int32 = -5; b @1 :Text = "default"; c @2 :UInt16 = 0xffff; d @3 :S = (a = 3); e @4 :List(Int8) = [1, 2]; f @5 :Data = 0x"01"; g @6 :UInt64 = 12345678901234; }
const x :S = (a = -5, c = 3, d = (a = 4), g = 0);
