# eval: x
@0x994204a9202bc200;
struct S{a@0:Text;b@1:List(Int8);}const x:S=(a="x",b=[1,2]);
