@0xa94e42c3e788427f;
# What `spk run --explain` and `spk dev` learn from `sandstorm-http-bridge` about answers. No part of
# Sandstorm's protocol: its servers do not offer a `Losses`, and its bridges do not look for one.

struct SessionParams {
  # `sessionParams` of a new session, whatever its type, as spk's host fills them: those of
  # Sandstorm's struct come first, whose further fields have room up to here.

  field0 @0 :AnyPointer;
  field1 @1 :AnyPointer;
  field2 @2 :AnyPointer;
  field3 @3 :AnyPointer;
  field4 @4 :AnyPointer;
  field5 @5 :AnyPointer;
  field6 @6 :AnyPointer;
  field7 @7 :AnyPointer;
  field8 @8 :AnyPointer;
  field9 @9 :AnyPointer;
  field10 @10 :AnyPointer;
  field11 @11 :AnyPointer;
  field12 @12 :AnyPointer;
  field13 @13 :AnyPointer;
  field14 @14 :AnyPointer;

  losses @15 :Losses;
}

interface Losses {
  # Whoever wants to hear what of the app's answers does not reach clients.

  answered @0 (losses :List(Loss));
  # Of one answer.
}

struct Loss {
  # What the app said, and what becomes of it.

  union {
    other @0 :Void;
    # Nothing that is known here.

    status :group {
      # Another status is sent.
      said @1 :UInt16;
      sent @2 :UInt16;
    }

    header @3 :Text;
    # The header with this name is left out.

    cookie :group {
      # A cookie is left out, or no browser keeps it.
      name @4 :Text;
      why @5 :Problem;
    }
  }

  enum Problem {
    noName @0;
    # No name, or no `=` after it.
    separators @1;
    # A semicolon or comma in it, or an equals sign in its name.
    prefix @2;
    # A name with `__Secure-` or `__Host-` needs `Secure`, which is not passed on.
  }
}
