@0xbf72526e76ecd73b;
# JSON bodies of the bridge's outgoing proxy.

using Util = import "util.capnp";

struct ProxyClaimRequestRequest {
  requestToken @0 :Text;
  requiredPermissions @1 :List(Text);
  label @2 :Util.LocalizedText;
}

struct ProxyClaimRequestResponse {
  cap @0 :Text;
  # Base64 of the saved token.
}
