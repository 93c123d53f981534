@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const pkgdef :Spk.PackageDefinition = (alwaysInclude = ["", "tab	raw", "\a\b\f\n\r\t\v\'\"\\\?", "\0\1\12\123\377", "\x00\x7f\xfF",
  "join" "ed" " texts", "ünïcödé 日本 🎉", "# no comment", "a\0b", "0x\"", "missing comma"
  "joins", "\1234"]);
