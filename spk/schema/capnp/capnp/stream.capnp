@0x86c366a91393f3f8;
# What a method declared `-> stream` returns.

struct StreamResult @0x995f9a3377c0b16e {
}
