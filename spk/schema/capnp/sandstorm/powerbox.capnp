@0xf6c200ab14cd53e4;
# Descriptions of capabilities, as used when a user picks one.

using Util = import "util.capnp";

struct PowerboxDescriptor {
  tags @0 :List(Tag);
  # All must hold.

  quality @1 :MatchQuality = acceptable;

  struct Tag {
    id @0 :UInt64;
    # Usually the ID of a Cap'n Proto type.

    value @1 :AnyPointer;
    # Meaning depends on `id`; null matches anything.
  }

  enum MatchQuality {
    acceptable @0;
    preferred @1;
    unacceptable @2;
  }
}

struct PowerboxDisplayInfo {
  title @0 :Util.LocalizedText;
  verbPhrase @1 :Util.LocalizedText;
  description @2 :Util.LocalizedText;
}
