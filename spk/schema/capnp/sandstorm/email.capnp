@0xdd10df585a82c6d8;
# Mail to and from an app.

using Util = import "util.capnp";

struct EmailAddress {
  address @0 :Text;
  name @1 :Text;
}

struct EmailAttachment {
  contentType @0 :Text;
  contentDisposition @1 :Text;
  contentId @2 :Text;
  content @3 :Data;
}

struct EmailMessage {
  date @0 :Util.DateInNs;
  from @1 :EmailAddress;
  to @2 :List(EmailAddress);
  cc @3 :List(EmailAddress);
  bcc @4 :List(EmailAddress);
  replyTo @5 :EmailAddress;
  messageId @6 :Text;
  references @7 :List(Text);
  inReplyTo @8 :List(Text);
  subject @9 :Text;
  text @10 :Text;
  html @11 :Text;
  attachments @12 :List(EmailAttachment);
}

interface EmailSendPort @0xec831dbf4cc9bcca {
  send @0 (email :EmailMessage);
  hintAddress @1 (address :EmailAddress);

  struct PowerboxTag {
    fromHint @0 :EmailAddress;
    listIdHint @1 :Text;
  }
}
