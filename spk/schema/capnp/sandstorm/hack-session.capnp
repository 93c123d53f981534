@0xbf6889795837d1e0;
# Session types that predate the powerbox.

using Grain = import "grain.capnp";
using Email = import "email.capnp";
using Identity = import "identity.capnp";

interface HackSessionContext @0xe14c1f5321159b8f extends(Grain.SessionContext, Email.EmailSendPort) {
  getPublicId @0 () -> (publicId :Text, hostname :Text, autoUrl :Text, isDemoUser :Bool);
  obsoleteHttpGet @1 (url :Text) -> (mimeType :Text, content :Data);
  getUserAddress @2 () -> Email.EmailAddress;
  obsoleteGenerateApiToken @3 (petname :Text, userInfo :Identity.UserInfo, expires :UInt64)
                           -> (token :Text, endpointUrl :Text, tokenId :Text);
  obsoleteListApiTokens @4 () -> (tokens :List(TokenInfo));
  obsoleteRevokeApiToken @5 (tokenId :Text);
  obsoleteGetIpNetwork @6 () -> (network :Capability);
  obsoleteGetIpInterface @7 () -> (interface :Capability);
  obsoleteGetUiViewForEndpoint @8 (url :Text) -> (view :Grain.UiView);

  struct TokenInfo {
    tokenId @0 :Text;
    petname @1 :Text;
    userInfo @2 :Identity.UserInfo;
  }
}

interface HackEmailSession @0xc3b5ced7344b04a6 extends(Grain.UiSession, Email.EmailSendPort) {
}
