# eval: x
@0x994204a9202bc200;
struct S {
  a @0 :Bool;
  union { b @1 :Int8; c @2 :Int64; d @3 :Text; e :group { f @4 :Int32; g @5 :Text; h @12 :Bool; k @13 :UInt16; } }
  i @6 :Int16;
  u :union { l @7 :Void; m @8 :Bool; n @9 :List(Int8); o :group { p @10 :UInt8; q @11 :Float64; } }
  r @14 :Int8; s @15 :Bool;
}
struct L { items @0 :List(S); }
const x :L = (items = [ (a = true, b = -1, i = 5, u = (m = true), r = 3, s = true), (c = -1), (d = "d", u = (o = (p = 200, q = 1.25))),
  (e = (f = -1, g = "g", h = true, k = 65535), i = -1, u = (n = [1])), (u = (l = void), s = true) ]);
