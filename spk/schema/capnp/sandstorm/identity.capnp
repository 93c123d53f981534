@0xc822108a5c3d7d25;
# Users and what they may do.

using Util = import "util.capnp";

using PermissionSet = List(Bool);
# Bit i = permission i of `ViewInfo.permissions`.

interface Identity @0xc084987aa951dd18 {
  getProfile @0 () -> (profile :Profile);

  struct PowerboxTag {
    permissions @0 :PermissionSet;
  }
}

struct Profile @0xd3d0c34d7201fcef {
  displayName @0 :Util.LocalizedText;
  preferredHandle @1 :Text;
  picture @2 :Util.StaticAsset;
  pronouns @3 :Pronouns;

  enum Pronouns {
    neutral @0;
    male @1;
    female @2;
    robot @3;
  }
}

struct UserInfo @0x94b9d1efb35d11d3 {
  displayName @0 :Util.LocalizedText;
  preferredHandle @4 :Text;
  pictureUrl @6 :Text;
  pronouns @5 :Profile.Pronouns;
  deprecatedPermissionsBlob @1 :Data;
  permissions @3 :PermissionSet;

  identityId @2 :Data;
  # 32 bytes; null for an anonymous visitor.

  identity @7 :Identity;
}
