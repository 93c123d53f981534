@0xa8cb0f2f1a756b32;
# HTTP as calls on a session object.

using Grain = import "grain.capnp";
using Util = import "util.capnp";

struct HttpStatusDescriptor {
  id @0 :UInt16;
  title @1 :Text;
}

annotation httpStatus @0xaf480a0c6cab8887 (enumerant) :HttpStatusDescriptor;

interface WebSession @0xa50711a14d35a8ce extends(Grain.UiSession) {
  struct Params {
    basePath @0 :Text;
    # Absolute URL of the session's root, without a trailing slash.

    userAgent @1 :Text;
    acceptableLanguages @2 :List(Text);
  }

  get @0 (path :Text, context :Context, ignoreBody :Bool) -> Response;
  post @1 (path :Text, content :PostContent, context :Context) -> Response;
  put @3 (path :Text, content :PutContent, context :Context) -> Response;
  delete @4 (path :Text, context :Context) -> Response;
  postStreaming @5 (path :Text, mimeType :Text, context :Context, encoding :Text)
                -> (stream :RequestStream);
  putStreaming @6 (path :Text, mimeType :Text, context :Context, encoding :Text)
               -> (stream :RequestStream);
  openWebSocket @2 (path :Text, context :Context,
                    protocol :List(Text), clientStream :WebSocketStream)
                -> (protocol :List(Text), serverStream :WebSocketStream);
  propfind @7 (path :Text, xmlContent :Text, depth :PropfindDepth, context :Context) -> Response;
  proppatch @8 (path :Text, xmlContent :Text, context :Context) -> Response;
  mkcol @9 (path :Text, content :PostContent, context :Context) -> Response;
  copy @10 (path :Text, destination :Text, noOverwrite :Bool, shallow :Bool, context :Context)
       -> Response;
  move @11 (path :Text, destination :Text, noOverwrite :Bool, context :Context) -> Response;
  lock @12 (path :Text, xmlContent :Text, shallow :Bool, context :Context) -> Response;
  unlock @13 (path :Text, lockToken :Text, context :Context) -> Response;
  acl @14 (path :Text, xmlContent :Text, context :Context) -> Response;
  report @15 (path :Text, content :PostContent, context :Context) -> Response;
  options @16 (path :Text, context :Context) -> Options;
  patch @17 (path :Text, content :PostContent, context :Context) -> Response;

  struct Context {
    const headerWhitelist :List(Text) = [
      # A name with a trailing star is a prefix.
      "x-sandstorm-app-*",
      "oc-total-length",
      "oc-chunk-size",
      "x-oc-mtime",
      "oc-fileid",
      "oc-chunked",
      "oc-checksum",
      "oc-chunk-offset",
      "oc-lazyops",
      "x-hgarg-*",
      "x-phabricator-*",
      "x-requested-with",
      "x-csrftoken",
      "x-csrf-token",
    ];

    cookies @0 :List(Util.KeyValue);

    responseStream @1 :Util.ByteStream;
    # Where a streamed body goes; normally a promise.

    accept @2 :List(AcceptedType);
    acceptEncoding @9 :List(AcceptedEncoding);

    eTagPrecondition :union {
      none @4 :Void;
      exists @5 :Void;
      doesntExist @8 :Void;
      matchesOneOf @6 :List(ETag);
      matchesNoneOf @7 :List(ETag);
    }

    additionalHeaders @3 :List(Header);

    struct Header {
      name @0 :Text;
      value @1 :Text;
    }
  }

  struct PostContent {
    mimeType @0 :Text;
    content @1 :Data;
    encoding @2 :Text;
  }

  struct PutContent {
    mimeType @0 :Text;
    content @1 :Data;
    encoding @2 :Text;
  }

  struct ETag {
    value @0 :Text;
    # Without the quotes.
    weak @1 :Bool;
  }

  struct Cookie {
    name @0 :Text;
    value @1 :Text;
    expires :union {
      none @2 :Void;
      absolute @3 :Int64;
      relative @4 :UInt64;
    }
    httpOnly @5 :Bool;
    path @6 :Text;
  }

  struct AcceptedType {
    mimeType @0 :Text;
    qValue @1 :Float32 = 1;
  }

  struct AcceptedEncoding {
    contentCoding @0 :Text;
    qValue @1 :Float32 = 1;
  }

  struct Response {
    const headerWhitelist :List(Text) = [
      "x-sandstorm-app-*",
      "x-oc-mtime",
    ];

    setCookies @0 :List(Cookie);
    cachePolicy @16 :CachePolicy;

    enum SuccessCode {
      ok @0 $httpStatus(id = 200, title = "OK");
      created @1 $httpStatus(id = 201, title = "Created");
      accepted @2 $httpStatus(id = 202, title = "Accepted");
      noContent @3 $httpStatus(id = 204, title = "No Content");
      partialContent @4 $httpStatus(id = 206, title = "Partial Content");
      multiStatus @5 $httpStatus(id = 207, title = "Multi-Status");
      notModified @6 $httpStatus(id = 304, title = "Not Modified");
    }

    enum ClientErrorCode {
      badRequest @0 $httpStatus(id = 400, title = "Bad Request");
      forbidden @1 $httpStatus(id = 403, title = "Forbidden");
      notFound @2 $httpStatus(id = 404, title = "Not Found");
      methodNotAllowed @3 $httpStatus(id = 405, title = "Method Not Allowed");
      notAcceptable @4 $httpStatus(id = 406, title = "Not Acceptable");
      conflict @5 $httpStatus(id = 409, title = "Conflict");
      gone @6 $httpStatus(id = 410, title = "Gone");
      requestEntityTooLarge @7 $httpStatus(id = 413, title = "Request Entity Too Large");
      requestUriTooLong @8 $httpStatus(id = 414, title = "Request-URI Too Long");
      unsupportedMediaType @9 $httpStatus(id = 415, title = "Unsupported Media Type");
      imATeapot @10 $httpStatus(id = 418, title = "I'm a teapot");
      preconditionFailed @11 $httpStatus(id = 412, title = "Precondition Failed");
      unprocessableEntity @12 $httpStatus(id = 422, title = "Unprocessable Entity");
    }

    union {
      content :group {
        statusCode @10 :SuccessCode;
        encoding @2 :Text;
        language @3 :Text;
        mimeType @4 :Text;
        eTag @17 :ETag;
        body :union {
          bytes @5 :Data;
          stream @6 :Util.Handle;
        }
        disposition :union {
          normal @13 :Void;
          download @14 :Text;
        }
      }

      noContent :group {
        shouldResetForm @15 :Bool;
        eTag @19 :ETag;
      }

      preconditionFailed :group {
        matchingETag @18 :ETag;
      }

      redirect :group {
        isPermanent @1 :Bool;
        switchToGet @12 :Bool;
        location @11 :Text;
      }

      clientError :group {
        statusCode @7 :ClientErrorCode;
        descriptionHtml @8 :Text;
        nonHtmlBody @21 :ErrorBody;
      }

      serverError :group {
        descriptionHtml @9 :Text;
        nonHtmlBody @22 :ErrorBody;
      }
    }

    additionalHeaders @20 :List(Header);

    struct Header {
      name @0 :Text;
      value @1 :Text;
    }

    struct ErrorBody {
      data @0 :Data;
      encoding @1 :Text;
      language @2 :Text;
      mimeType @3 :Text;
    }
  }

  interface RequestStream extends(Util.ByteStream) {
    getResponse @0 () -> Response;
  }

  interface WebSocketStream {
    sendBytes @0 (message :Data) -> stream;
    # Raw RFC 6455 bytes; call boundaries mean nothing.
  }

  struct CachePolicy {
    withCheck @0 :Scope;
    permanent @1 :Scope;
    variesOnCookie @2 :Bool;
    variesOnAccept @3 :Bool;

    enum Scope {
      none @0;
      perSession @1;
      perUser @2;
      perAppVersion @3;
      universal @4;
    }
  }

  struct Options {
    davClass1 @0 :Bool = false;
    davClass2 @1 :Bool = false;
    davClass3 @2 :Bool = false;
    davExtensions @3 :List(Text);
  }

  enum PropfindDepth {
    infinity @0;
    zero @1;
    one @2;
  }
}
