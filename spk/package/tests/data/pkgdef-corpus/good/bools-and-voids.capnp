# eval: x
@0x994204a9202bc200;
struct S { a @0 :Bool = true; b @1 :Bool; v @2 :Void; c @3 :List(Bool); d @4 :List(Void); e @5 :Bool = true; }
const yes :Bool = true;
const x :S = (a = false, b = .yes, v = void, c = [true, false, true, true, false, false, true, true, true, .yes], d = [void, void, void], e = true);
