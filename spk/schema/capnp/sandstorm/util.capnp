@0xecd50d792c3d9992;
# Small types shared by the other schemas.
# Layout: shared facts of the platform's wire format; wording ours.

using DateInNs = Int64;
# Nanoseconds since the Unix epoch.

using DurationInNs = UInt64;
# A span of nanoseconds.

struct KeyValue {
  key @0 :Text;
  value @1 :Text;
}

struct LocalizedText {
  # Text with optional translations.

  defaultText @0 :Text;
  # Shown when no translation fits.

  localizations @1 :List(Localization);

  struct Localization {
    locale @0 :Text;
    # BCP 47 tag.
    text @1 :Text;
  }
}

interface Handle {
  # Something that lives as long as this capability is held.

  ping @0 ();
  # Liveness probe: any answer but `disconnected` means alive.
}

interface ByteStream {
  # A sink for bytes. Dropping it without `done` means truncation.

  write @0 (data :Data) -> stream;
  done @1 ();
  expectSize @2 (size :UInt64);
  # Announces how many bytes follow; callers ignore errors.
}

interface Blob @0xe53527a75d90198f {
  # Immutable bytes.

  getSize @0 () -> (size :UInt64);
  writeTo @1 (stream :ByteStream, startAtOffset :UInt64) -> (handle :Handle);
  getSlice @2 (offset :UInt64, size :UInt32) -> (data :Data);
}

interface Assignable @0xeaf255b498229199 (T) {
  # A variable that can be watched.

  get @0 () -> (value :T, setter :Setter);
  asGetter @1 () -> (getter :Getter);
  asSetter @2 () -> (setter :Setter);

  interface Getter {
    get @0 () -> (value :T);
    subscribe @1 (setter :Setter) -> (handle :Handle);
  }

  interface Setter {
    set @0 (value :T) -> ();
  }
}

interface StaticAsset @0xfabb5e621fa9a23f {
  # A picture or similar that the host serves over HTTP.

  getUrl @0 () -> (protocol :Protocol, hostPath :Text);
  # The two are joined with "://".

  enum Protocol {
    https @0;
    http @1;
  }
}
