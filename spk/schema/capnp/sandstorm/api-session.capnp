@0xeb014c0c3413cbfb;
# Sessions for programs instead of browsers.

using WebSession = import "web-session.capnp".WebSession;
using IpAddress = import "ip.capnp".IpAddress;

interface ApiSession @0xc879e379c625cdc7 extends(WebSession) {
  struct Params {
    remoteAddress @0 :IpAddress;
  }

  struct PowerboxTag {
    canonicalUrl @0 :Text;
    oauthScopes @1 :List(OAuthScope);

    struct OAuthScope {
      name @0 :Text;
    }

    authentication @2 :Text;
  }
}
