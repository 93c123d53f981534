//! The chooser's page: a JSON array of the APIs in Cap'n Proto's standard mapping, and a script.

use capnp::{Error, text};
use serde_json::{Value, json};
use spk_schema::package_capnp::bridge_config::powerbox_api;
use spk_schema::util_capnp::localized_text;

/// One API in JSON.
pub(super) fn describe(api: powerbox_api::Reader<'_>) -> Result<Value, Error> {
    let info = api.get_display_info()?;
    let tag = api.get_tag()?;
    let mut scopes = Vec::new();
    for scope in tag.get_oauth_scopes()? {
        scopes.push(json!({ "name": string(scope.get_name()?) }));
    }
    Ok(json!({
        "name": string(api.get_name()?),
        "displayInfo": {
            "title": localized(info.get_title()?)?,
            "verbPhrase": localized(info.get_verb_phrase()?)?,
            "description": localized(info.get_description()?)?,
        },
        "path": string(api.get_path()?),
        "tag": {
            "canonicalUrl": string(tag.get_canonical_url()?),
            "oauthScopes": scopes,
            "authentication": string(tag.get_authentication()?),
        },
        "permissions": api.get_permissions()?.iter().collect::<Vec<bool>>(),
    }))
}

fn string(text: text::Reader<'_>) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

fn localized(text: localized_text::Reader<'_>) -> Result<Value, Error> {
    let mut localizations = Vec::new();
    for item in text.get_localizations()? {
        localizations.push(
            json!({ "locale": string(item.get_locale()?), "text": string(item.get_text()?) }),
        );
    }
    Ok(json!({ "defaultText": string(text.get_default_text()?), "localizations": localizations }))
}

/// The page for these APIs.
pub(super) fn page(apis: &[Value]) -> String {
    // Inside a script element only `<` can end it.
    let list = Value::from(apis).to_string().replace('<', "\\u003c");
    PAGE.replace("/*APIS*/", &list)
}

const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Choose</title>
<style>
body { font: 1rem/1.4 sans-serif; margin: 1.5rem; }
button { display: block; width: 100%; margin: 0 0 .75rem; padding: .75rem 1rem; text-align: left; font: inherit; }
small { display: block; }
</style>
</head>
<body>
<main id="choices"></main>
<script>
const apis = /*APIS*/;
const main = document.getElementById("choices");
if (!apis.length) main.textContent = "There is nothing here that you may share.";
for (const api of apis) {
  const button = document.createElement("button");
  button.textContent = api.displayInfo.title.defaultText || api.name;
  const description = api.displayInfo.description.defaultText;
  if (description) button.append(Object.assign(document.createElement("small"), { textContent: description }));
  button.onclick = async () => {
    for (const other of document.querySelectorAll("button")) other.disabled = true;
    const response = await fetch("/", { method: "POST", body: api.name });
    main.textContent = response.ok ? "Done." : "That did not work.";
  };
  main.append(button);
}
</script>
</body>
</html>
"#;
