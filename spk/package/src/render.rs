//! Values as `verify` prints them: in the original's layout, which is not always JSON (format,
//! "output format of verify"), and as real JSON.

/// Texts and blobs longer than this many bytes are only named by their size.
const LARGE: usize = 256;

/// A call or a bracket is broken over lines when a child is longer than this many bytes.
const WIDE: usize = 50;

/// A value to print.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Number(u64),
    Text(Vec<u8>),
    Data(Vec<u8>),
    List(Vec<Value>),
    Object(Vec<(&'static str, Value)>),
}

impl Value {
    pub(crate) fn text(text: impl Into<Vec<u8>>) -> Value {
        Value::Text(text.into())
    }

    /// The original's layout, byte for byte.
    pub(crate) fn legacy(&self) -> Vec<u8> {
        self.rendered(0, false).text
    }

    /// Real JSON. What is not UTF-8 is replaced; blobs are base64 up to 256 bytes, else named by
    /// their size.
    pub(crate) fn json(&self) -> serde_json::Value {
        use serde_json::{Value as Json, json};
        match self {
            Value::Null => Json::Null,
            Value::Number(number) => json!(number),
            Value::Text(text) => Json::String(String::from_utf8_lossy(text).into_owned()),
            Value::Data(data) if data.len() > LARGE => json!({ "bytes": data.len() }),
            Value::Data(data) => json!({ "bytes": data.len(), "base64": base64(data) }),
            Value::List(items) => Json::Array(items.iter().map(Value::json).collect()),
            Value::Object(fields) => Json::Object(
                fields.iter().map(|(name, value)| ((*name).to_owned(), value.json())).collect(),
            ),
        }
    }

    /// `after_name`: whether something stands before the value on its line.
    fn rendered(&self, level: usize, after_name: bool) -> Rendered {
        let plain = |text: Vec<u8>| Rendered { text, broken: false };
        match self {
            Value::Null => plain(b"null".to_vec()),
            Value::Number(number) => plain(number.to_string().into_bytes()),
            Value::Text(text) if text.len() > LARGE => {
                plain(format!("LargeTextBlob({})", text.len()).into_bytes())
            }
            Value::Text(text) => plain(quoted(text)),
            Value::Data(data) if data.len() > LARGE => {
                plain(format!("LargeDataBlob({})", data.len()).into_bytes())
            }
            Value::Data(data) => plain(format!("Base64(\"{}\")", base64(data)).into_bytes()),
            Value::List(items) => {
                let below = level_below(level, items.len());
                let children = items.iter().map(|item| item.rendered(below, false)).collect();
                bracket(b'[', b']', children, level, after_name)
            }
            Value::Object(fields) => {
                let below = level_below(level, fields.len());
                let children = fields
                    .iter()
                    .map(|(name, value)| {
                        let Rendered { text, broken } = value.rendered(below, true);
                        let text = [format!("\"{name}\": ").as_bytes(), &text].concat();
                        Rendered { text, broken }
                    })
                    .collect();
                bracket(b'{', b'}', children, level, after_name)
            }
        }
    }
}

struct Rendered {
    text: Vec<u8>,
    /// Whether it counts as broken for what it stands in.
    broken: bool,
}

/// A bracket with a single child does not indent it.
fn level_below(level: usize, children: usize) -> usize {
    if children > 1 { level + 1 } else { level }
}

fn bracket(
    open: u8,
    close: u8,
    children: Vec<Rendered>,
    level: usize,
    after_name: bool,
) -> Rendered {
    let broken =
        children.len() > 1 && children.iter().any(|child| child.broken || child.text.len() > WIDE);
    let mut text = vec![open];
    let line = [b"\n".to_vec(), b" ".repeat(2 * (level + 1))].concat();
    if broken {
        text.extend(if after_name { &line[..] } else { b" " });
    }
    for (index, child) in children.iter().enumerate() {
        if index > 0 {
            text.push(b',');
            text.extend(if broken { &line[..] } else { b" " });
        }
        text.extend(&child.text);
    }
    if broken {
        text.push(b' ');
    }
    text.push(close);
    Rendered { text, broken }
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            0x08 => out.extend(b"\\b"),
            0x0c => out.extend(b"\\f"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    out
}

fn base64(data: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(data)
}
