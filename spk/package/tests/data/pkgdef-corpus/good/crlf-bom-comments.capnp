@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
# comment at the end without a line break follows
const pkgdef :Spk.PackageDefinition = ( # inside
  id = "x#y", # a hash in a text is no comment
  fileList = "l"#close
);
# the end
# eof