# eval: x
@0x994204a9202bc200;
struct S { a @0 :Float32; b @1 :Float64; c @2 :List(Float32); d @3 :List(Float64); e @4 :Float32 = 1.5; f @5 :Float64 = -inf; }
const i :Int32 = 7;
const x :S = (a = 1.5e-3, b = -2.25, c = [1, -1, 3.0, inf, -inf, 1e10, 2.5E+3], d = [.i, 0.1, 123456789.125, 9007199254740993], e = 2, f = 3);
