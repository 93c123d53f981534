@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const pkgdef :Spk.PackageDefinition = (manifest = (actions = [
    (input = (none = void)), (input = (capability = [(quality = unacceptable), ()])), (input = ()),
  ], metadata = (license = (openSource = agpl3, notices = (defaultText = "n")), categories = [office, games, other],
    author = (contactEmail = "a@b", upstreamAuthor = "u"), icons = ())));
