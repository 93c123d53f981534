# eval: x
@0x994204a9202bc200;
enum Colour @0xd5e0bc98c1a2c3d4 { red @0; green @2; blue @1; }
struct S { a @0 :Colour = blue; b @1 :Colour = blue; c @2 :List(Colour); const nested :Int32 = 3; d @3 :Int32 = .S.nested; }
const x :S = (a = green, c = [red, green, blue, red, blue], d = S.nested);
