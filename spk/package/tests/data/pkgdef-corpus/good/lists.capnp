# eval: x
@0x994204a9202bc200;
struct E {} struct S { a @0 :List(List(Text)); b @1 :List(Data); c @2 :List(E); d @3 :List(S); e @4 :List(List(List(Bool))); f @5 :E; g @6 :Text; }
const t :List(Text) = ["one", "two"];
const x :S = (a = [.t, [], ["three"]], b = ["d", 0x"00", ""], c = [(), (), ()], d = [(d = []), (f = (), g = ""), (d = [(g = "deep")])],
  e = [[[true], []], []], f = ());
