@0xac137d236832bb1e;
# What the HTTP bridge offers the app beside it, over /tmp/sandstorm-api.

using Grain = import "grain.capnp";
using Identity = import "identity.capnp";
using Powerbox = import "powerbox.capnp";

interface SandstormHttpBridge @0xad678f0d09bdd98a {
  getSandstormApi @0 () -> (api :Grain.SandstormApi);
  getSessionContext @1 (id :Text) -> (context :Grain.SessionContext);
  getSavedIdentity @2 (identityId :Text) -> (identity :Identity.Identity);
  saveIdentity @3 (identity :Identity.Identity);
  getSessionRequest @4 (id :Text) -> (requestInfo :List(Powerbox.PowerboxDescriptor));
  getSessionOffer @5 (id :Text) -> (offer :Capability, descriptor :Powerbox.PowerboxDescriptor);
}

interface AppHooks @0xcb12390f1429f70f (AppObjectId) {
  getViewInfo @0 () -> Grain.UiView.ViewInfo;
  restore @1 (objectId :AppObjectId) -> (cap :Capability);
  drop @2 (objectId :AppObjectId);
}
