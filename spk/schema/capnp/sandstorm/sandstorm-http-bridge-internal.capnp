@0xf963cc483d8f9e3a;
# What the HTTP bridge stores and implements.

using Grain = import "grain.capnp";
using Powerbox = import "powerbox.capnp";
using ApiSession = import "api-session.capnp".ApiSession;
using Identity = import "identity.capnp";

struct BridgeObjectId {
  union {
    application @0 :AnyPointer;
    httpApi @1 :HttpApi;
  }

  struct HttpApi {
    name @0 :Text;
    path @1 :Text;
    permissions @2 :Identity.PermissionSet;
    identityId @3 :Data;
  }
}

interface BridgeHttpSession @0xb71e38915c2a2afc
    extends(ApiSession, Grain.AppPersistent(BridgeObjectId)) {
}

struct SessionInfo {
  union {
    normal @0 :Void;
    request :group {
      requestInfo @1 :List(Powerbox.PowerboxDescriptor);
    }
    offer :group {
      offer @2 :Capability;
      descriptor @3 :Powerbox.PowerboxDescriptor;
    }
  }
}
