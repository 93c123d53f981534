//! What `verify` says about a package (format, `VerifiedInfo`).

use capnp::message::ReaderOptions;
use spk_schema::package_capnp::{manifest, metadata};
use spk_schema::util_capnp::localized_text;

use crate::app_id::AppId;
use crate::limits::MANIFEST_WORDS;
use crate::package_id::PackageId;
use crate::render::Value;

/// Nesting limit for the manifest: the original's default.
const MANIFEST_NESTING: i32 = 64;

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("the package's manifest is damaged")]
    Manifest(#[from] capnp::Error),
    /// An address that is not a web address.
    #[error("{field} must begin with http:// or https://, but is '{url}'")]
    Url {
        /// Which field of the metadata.
        field: &'static str,
        /// Its value.
        url: String,
    },
    /// A signature of the author without the key to check it with.
    #[error("the author's PGP signature comes without a keyring to check it with")]
    NoKeyring,
}

/// The author's PGP signature as the manifest has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorSignature {
    /// An OpenPGP message with its own text.
    pub signature: Vec<u8>,
    /// Binary OpenPGP keys.
    pub keyring: Vec<u8>,
}

/// The manifest of a package as far as `verify` cares.
#[derive(Debug)]
pub struct Manifest {
    title: Value,
    version: u32,
    marketing_version: Value,
    metadata: Value,
    author: Option<AuthorSignature>,
}

impl Manifest {
    /// Reads a `sandstorm-manifest` and checks its addresses.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, Error> {
        let mut options = ReaderOptions::new();
        options.traversal_limit_in_words(Some(MANIFEST_WORDS)).nesting_limit(MANIFEST_NESTING);
        let message = capnp::serialize::read_message(bytes, options)?;
        let manifest: manifest::Reader<'_> = message.get_root()?;
        let metadata = manifest.get_metadata()?;
        for (field, present, url) in [
            ("website", metadata.has_website(), metadata.get_website()?),
            ("codeUrl", metadata.has_code_url(), metadata.get_code_url()?),
        ] {
            let url = url.as_bytes();
            if present && !url.starts_with(b"http://") && !url.starts_with(b"https://") {
                let url = String::from_utf8_lossy(&url[..url.len().min(200)]).into_owned();
                return Err(Error::Url { field, url });
            }
        }
        let author = match metadata.get_author().has_pgp_signature() {
            false => None,
            true if !metadata.has_pgp_keyring() => return Err(Error::NoKeyring),
            true => Some(AuthorSignature {
                signature: metadata.get_author().get_pgp_signature()?.to_vec(),
                keyring: metadata.get_pgp_keyring()?.to_vec(),
            }),
        };
        let text = |present: bool, text: localized_text::Reader<'_>| {
            if present { localized(text) } else { Ok(Value::Object(Vec::new())) }
        };
        Ok(Manifest {
            title: text(manifest.has_app_title(), manifest.get_app_title()?)?,
            version: manifest.get_app_version(),
            marketing_version: text(
                manifest.has_app_marketing_version(),
                manifest.get_app_marketing_version()?,
            )?,
            metadata: render_metadata(metadata)?,
            author,
        })
    }

    /// The author's signature, if the package has one.
    pub fn author_signature(&self) -> Option<&AuthorSignature> {
        self.author.as_ref()
    }
}

/// What is known about a package once it is verified.
#[derive(Debug)]
pub struct Info {
    /// The app's identity, after replacement.
    pub app_id: AppId,
    /// The package's identity.
    pub package_id: PackageId,
    /// Whose signature the author's is: the primary key's fingerprint.
    pub author_fingerprint: Option<String>,
    pub(crate) manifest: Manifest,
}

impl Info {
    /// As the original's `verify` prints it, with the final line feed.
    pub fn to_legacy(&self) -> Vec<u8> {
        let mut text = self.value().legacy();
        text.push(b'\n');
        text
    }

    /// As JSON.
    pub fn to_json(&self) -> serde_json::Value {
        self.value().json()
    }

    fn value(&self) -> Value {
        let manifest = &self.manifest;
        let mut fields = vec![
            ("appId", Value::text(self.app_id.to_string())),
            ("packageId", Value::text(self.package_id.to_string())),
            ("title", manifest.title.clone()),
            ("version", Value::Number(manifest.version.into())),
            ("marketingVersion", manifest.marketing_version.clone()),
        ];
        if let Some(fingerprint) = &self.author_fingerprint {
            fields.push(("authorPgpKeyFingerprint", Value::text(fingerprint.as_str())));
        }
        fields.push(("metadata", manifest.metadata.clone()));
        Value::Object(fields)
    }
}

type Fields = Vec<(&'static str, Value)>;

/// Adds a field whose pointer is not null.
macro_rules! field {
    ($fields:ident, $reader:expr, $name:literal, $has:ident, $get:ident, $render:expr) => {
        if $reader.$has() {
            $fields.push(($name, $render($reader.$get()?)?));
        }
    };
}

type Rendered = capnp::Result<Value>;

fn text(text: capnp::text::Reader<'_>) -> Rendered {
    Ok(Value::text(text.as_bytes()))
}

fn data(data: &[u8]) -> Rendered {
    Ok(Value::Data(data.to_vec()))
}

fn localized(reader: localized_text::Reader<'_>) -> Rendered {
    let mut fields = Fields::new();
    field!(fields, reader, "defaultText", has_default_text, get_default_text, text);
    if reader.has_localizations() {
        let list = reader.get_localizations()?.iter().map(|reader| {
            let mut fields = Fields::new();
            field!(fields, reader, "locale", has_locale, get_locale, text);
            field!(fields, reader, "text", has_text, get_text, text);
            Ok(Value::Object(fields))
        });
        fields.push(("localizations", Value::List(list.collect::<capnp::Result<_>>()?)));
    }
    Ok(Value::Object(fields))
}

fn icon(reader: metadata::icon::Reader<'_>) -> Rendered {
    use metadata::icon::Which;
    let field = match reader.which() {
        Ok(Which::Unknown(())) => ("unknown", Value::Null),
        Ok(Which::Svg(svg)) if reader.has_svg() => ("svg", text(svg?)?),
        Ok(Which::Svg(_)) => return Ok(Value::Object(Fields::new())),
        Ok(Which::Png(png)) => {
            let mut fields = Fields::new();
            field!(fields, png, "dpi1x", has_dpi1x, get_dpi1x, data);
            field!(fields, png, "dpi2x", has_dpi2x, get_dpi2x, data);
            ("png", Value::Object(fields))
        }
        Err(_) => return Ok(Value::Object(Fields::new())),
    };
    Ok(Value::Object(vec![field]))
}

fn screenshot(reader: metadata::screenshot::Reader<'_>) -> Rendered {
    use metadata::screenshot::Which;
    let mut fields = vec![
        ("width", Value::Number(reader.get_width().into())),
        ("height", Value::Number(reader.get_height().into())),
    ];
    match reader.which() {
        Ok(Which::Unknown(())) => fields.push(("unknown", Value::Null)),
        Ok(Which::Png(png)) if reader.has_png() => fields.push(("png", data(png?)?)),
        Ok(Which::Jpeg(jpeg)) if reader.has_jpeg() => fields.push(("jpeg", data(jpeg?)?)),
        _ => {}
    }
    Ok(Value::Object(fields))
}

fn render_metadata(reader: metadata::Reader<'_>) -> Rendered {
    let mut fields = Fields::new();
    let icons = reader.get_icons();
    let mut inner = Fields::new();
    field!(inner, icons, "appGrid", has_app_grid, get_app_grid, icon);
    field!(inner, icons, "grain", has_grain, get_grain, icon);
    field!(inner, icons, "market", has_market, get_market, icon);
    field!(inner, icons, "marketBig", has_market_big, get_market_big, icon);
    fields.push(("icons", Value::Object(inner)));
    field!(fields, reader, "website", has_website, get_website, text);
    field!(fields, reader, "codeUrl", has_code_url, get_code_url, text);
    fields.push(("license", license(reader.get_license())?));
    if reader.has_categories() {
        let list = reader.get_categories()?.iter().map(|category| match category {
            Ok(category) => Value::text(category_name(category)),
            Err(capnp::NotInSchema(number)) => Value::Number(number.into()),
        });
        fields.push(("categories", Value::List(list.collect())));
    }
    let author = reader.get_author();
    let mut inner = Fields::new();
    field!(inner, author, "contactEmail", has_contact_email, get_contact_email, text);
    field!(inner, author, "pgpSignature", has_pgp_signature, get_pgp_signature, data);
    field!(inner, author, "upstreamAuthor", has_upstream_author, get_upstream_author, text);
    fields.push(("author", Value::Object(inner)));
    field!(fields, reader, "pgpKeyring", has_pgp_keyring, get_pgp_keyring, data);
    field!(fields, reader, "description", has_description, get_description, localized);
    field!(
        fields,
        reader,
        "shortDescription",
        has_short_description,
        get_short_description,
        localized
    );
    if reader.has_screenshots() {
        let list = reader.get_screenshots()?.iter().map(screenshot);
        fields.push(("screenshots", Value::List(list.collect::<capnp::Result<_>>()?)));
    }
    field!(fields, reader, "changeLog", has_change_log, get_change_log, localized);
    Ok(Value::Object(fields))
}

fn license(reader: metadata::license::Reader<'_>) -> Rendered {
    use metadata::license::Which;
    let mut fields = Fields::new();
    match reader.which() {
        Ok(Which::None(())) => fields.push(("none", Value::Null)),
        Ok(Which::OpenSource(Ok(license))) => {
            fields.push(("openSource", Value::text(license_name(license))));
        }
        Ok(Which::OpenSource(Err(capnp::NotInSchema(number)))) => {
            fields.push(("openSource", Value::Number(number.into())));
        }
        Ok(Which::Proprietary(terms)) if reader.has_proprietary() => {
            fields.push(("proprietary", localized(terms?)?));
        }
        Ok(Which::PublicDomain(terms)) if reader.has_public_domain() => {
            fields.push(("publicDomain", localized(terms?)?));
        }
        _ => {}
    }
    field!(fields, reader, "notices", has_notices, get_notices, localized);
    Ok(Value::Object(fields))
}

/// Names an enumerant as the schema does: the bindings' name with a lower-case first letter.
fn lower_camel(name: String) -> String {
    let mut characters = name.chars();
    characters
        .next()
        .map_or(String::new(), |first| first.to_lowercase().chain(characters).collect())
}

fn license_name(license: spk_schema::package_capnp::OpenSourceLicense) -> String {
    lower_camel(format!("{license:?}"))
}

fn category_name(category: spk_schema::package_capnp::Category) -> String {
    lower_camel(format!("{category:?}"))
}
