# eval: x
@0x994204a9202bc200;
struct S {
  a @0 :Int8; b @1 :UInt8; c @2 :Int16; d @3 :UInt16; e @4 :Int32; f @5 :UInt32; g @6 :Int64; h @7 :UInt64;
  i @8 :List(Int8); j @9 :List(UInt64); k @10 :List(UInt16); l @11 :List(Int32); m @12 :List(UInt8); n @13 :List(Int64);
}
const big :UInt64 = 0xFFFFFFFFFFFFFFFF;
const small :Int8 = -128;
const x :S = (a = .small, b = 255, c = -0x8000, d = 0177777, e = -2147483648, f = 4294967295, g = -9223372036854775808, h = .big,
  i = [-1, 0, 127], j = [1, .big], k = [1, 2, 3, 4, 5], l = [-1, 2, .small], m = [1, 2, 255], n = [-5]);
