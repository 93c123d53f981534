# eval: settings
@0x994204a9202bc200;
using Shared = import "../files/shared.capnp";
const settings :Shared.Settings = (name = "mine", level = low);
