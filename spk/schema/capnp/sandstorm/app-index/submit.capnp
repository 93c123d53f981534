@0xbb368e3a12c66692;
# What `spk publish` says to an app index.

using Package = import "../package.capnp";

enum SubmissionState {
  ignore @0;
  review @1;
  publish @2;
}

struct SubmissionRequest {
  packageId @0 :Package.PackageId;
  union {
    checkStatus @1 :Void;
    setState :group {
      newState @2 :SubmissionState;
      sequenceNumber @4 :UInt64;
    }
  }
  appIndexWebkeyHash @3 :Data;
}

struct SubmissionStatus {
  requestState @0 :SubmissionState;
  union {
    pending @1 :Void;
    needsUpdate @2 :Text;
    approved @3 :Text;
    notUploaded @5 :Void;
  }
  publishDate @4 :Int64;
  nextSequenceNumber @6 :UInt64;
}
