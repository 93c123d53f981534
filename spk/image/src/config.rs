//! What an image says about how it is run.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The configuration of an image (OCI image specification, `config.md`; Docker's has the same names),
/// as far as it says how the image is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, or the program where there is no entry point.
    pub command: Vec<String>,
    /// Variables, in order; later ones of the same name win.
    pub environ: Vec<(String, String)>,
    /// Where it runs; empty for the root.
    pub directory: String,
    /// Ports over TCP, in the order of their numbers.
    pub ports: Vec<u16>,
    /// As whom it runs: name or number, with a group or without; empty for root.
    pub user: String,
    /// Directories with data that stays.
    pub volumes: Vec<String>,
    /// Labels, such as `org.opencontainers.image.title`.
    pub labels: BTreeMap<String, String>,
}

/// The file as it is. Writers leave fields out, or write `null`.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    #[serde(default)]
    pub(crate) architecture: Option<String>,
    #[serde(default)]
    pub(crate) variant: Option<String>,
    #[serde(default)]
    pub(crate) os: Option<String>,
    #[serde(default)]
    config: Option<Section>,
    #[serde(default)]
    pub(crate) rootfs: Option<Rootfs>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Rootfs {
    #[serde(default)]
    pub(crate) diff_ids: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Section {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    exposed_ports: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    user: Option<String>,
    volumes: Option<BTreeMap<String, serde::de::IgnoredAny>>,
    labels: Option<BTreeMap<String, String>>,
}

impl Document {
    /// What it says of running.
    pub(crate) fn config(self) -> Config {
        let section = self.config.unwrap_or_default();
        let pair = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        let mut ports: Vec<u16> =
            section.exposed_ports.unwrap_or_default().keys().filter_map(|text| tcp(text)).collect();
        ports.sort_unstable();
        ports.dedup();
        Config {
            entrypoint: section.entrypoint.unwrap_or_default(),
            command: section.cmd.unwrap_or_default(),
            environ: section.env.unwrap_or_default().into_iter().map(pair).collect(),
            directory: section.working_dir.unwrap_or_default(),
            ports,
            user: section.user.unwrap_or_default(),
            volumes: section.volumes.unwrap_or_default().into_keys().collect(),
            labels: section.labels.unwrap_or_default(),
        }
    }
}

/// `8080`, `8080/tcp`; nothing for other protocols.
fn tcp(text: &str) -> Option<u16> {
    match text.split_once('/') {
        None => text.parse().ok(),
        Some((number, "tcp")) => number.parse().ok(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        serde_json::from_str::<Document>(text).unwrap().config()
    }

    #[test]
    fn all_that_matters_is_read() {
        let config = read(
            r#"{"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
                "config": {"Entrypoint": ["/entry"], "Cmd": ["a b"], "Env": ["A=1=2", "B"],
                "WorkingDir": "/app", "ExposedPorts": {"9000/udp": {}, "8080/tcp": {}, "80": {}},
                "User": "app", "Volumes": {"/data": {}}, "Labels": {"x": "y"}, "Domainname": ""},
                "rootfs": {"type": "layers", "diff_ids": []}, "history": []}"#,
        );
        let expected = Config {
            entrypoint: vec!["/entry".into()],
            command: vec!["a b".into()],
            environ: vec![("A".into(), "1=2".into()), ("B".into(), String::new())],
            directory: "/app".into(),
            ports: vec![80, 8080],
            user: "app".into(),
            volumes: vec!["/data".into()],
            labels: BTreeMap::from([("x".into(), "y".into())]),
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn nothing_and_null_are_the_same() {
        let nulls = r#"{"config": {"Entrypoint": null, "Cmd": null, "Env": null, "ExposedPorts": null,
            "Volumes": null, "Labels": null, "User": null, "WorkingDir": null}, "rootfs": null}"#;
        for text in ["{}", r#"{"config": null}"#, r#"{"config": {}}"#, nulls] {
            assert_eq!(read(text), Config::default(), "{text}");
        }
    }
}
