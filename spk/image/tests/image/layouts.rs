//! The forms in which images are passed around.

use std::collections::BTreeMap;

use serde_json::json;
use spk_image::{Config, Image, Input, Limits, Platform, Wanted};

use crate::build::*;

const TREE: [&str; 3] = ["a/", "a/y=2", "b=1"];

fn layers() -> Vec<Vec<u8>> {
    vec![
        layer(&[dir("a"), file("a/x", "1"), file("b", "1")]),
        layer(&[file("a/.wh.x", ""), file("a/y", "2")]),
    ]
}

fn own() -> String {
    Platform::of_this_machine().architecture
}

#[track_caller]
fn is_the_image(image: Image) {
    let unpacked = unpack(image, &Limits::default()).unwrap();
    assert_eq!(listing(unpacked.root.path(), false), TREE);
}

#[test]
fn layouts_with_each_compression() {
    let forms: [Form; 3] = [gzip, zstd, <[u8]>::to_vec];
    for (name, form) in ["gzip", "zstd", "none"].into_iter().zip(forms) {
        let mut parts = Parts::default();
        let manifest = parts.manifest(&layers(), form, &own(), &json!({}));
        parts.index(&[manifest]);
        let temp = tempfile::tempdir().unwrap();
        parts.write(&temp.path().join("layout"));
        std::fs::write(temp.path().join("image.tar"), parts.tar()).unwrap();
        std::fs::write(temp.path().join("image.tar.gz"), gzip(&parts.tar())).unwrap();
        for file in ["layout", "image.tar", "image.tar.gz"] {
            let input = Input::open(&temp.path().join(file), &Limits::default())
                .unwrap_or_else(|error| panic!("{name}, {file}: {error}"));
            is_the_image(Image::find(input, &wanted(None)).unwrap());
        }
        let input = Input::from_stream(&zstd(&parts.tar())[..], &Limits::default()).unwrap();
        is_the_image(Image::find(input, &wanted(None)).unwrap());
    }
}

/// As Docker wrote them until 2024: layers in directories, one of them a link to another's.
#[test]
fn archives_of_docker_save() {
    let layers = layers();
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let config = json!({"architecture": own(), "os": "linux", "config": {"Cmd": ["/b"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let saved = json!([
        {"Config": "c.json", "RepoTags": ["example.org/team/app:1"], "Layers": ["one/layer.tar", "two/layer.tar"]},
        {"Config": "d.json", "RepoTags": null, "Layers": ["one/layer.tar"]},
    ]);
    let archive = |saved: &serde_json::Value| {
        let mut entries = vec![
            dir("one/"),
            file("one/VERSION", "1.0"),
            symlink("two/layer.tar", "../real/layer.tar"),
            file("c.json", &config.to_string()),
            file("manifest.json", &saved.to_string()),
        ];
        for (name, bytes) in [("one/layer.tar", &layers[0]), ("real/layer.tar", &layers[1])] {
            let mut entry = file(name, "");
            entry.contents.clone_from(bytes);
            entries.push(entry);
        }
        Input::from_stream(&layer(&entries)[..], &Limits::default()).unwrap()
    };
    let image = Image::find(archive(&saved), &wanted(Some("app"))).unwrap();
    assert_eq!(image.name.as_deref(), Some("example.org/team/app:1"));
    assert_eq!(image.config, Config { command: vec!["/b".into()], ..Config::default() });
    is_the_image(image);
    let error = Image::find(archive(&saved), &wanted(None)).unwrap_err().to_string();
    assert_eq!(
        error,
        "the image file has several images: example.org/team/app:1; --image-name chooses one"
    );
    let error = Image::find(archive(&saved), &wanted(Some("other"))).unwrap_err().to_string();
    assert_eq!(error, "the image file has no image 'other'; it has: example.org/team/app:1");
    is_the_image(Image::find(archive(&json!([saved[0]])), &wanted(None)).unwrap());
    // Layers without a name in the configuration.
    let short = json!([{"Config": "c.json", "Layers": ["one/layer.tar"]}]);
    let error = Image::find(archive(&short), &wanted(None)).unwrap_err().to_string();
    assert_eq!(error, "'c.json' of the image: it knows 2 layers, and there are 1");
}

#[test]
fn one_of_several_machines() {
    let mut parts = Parts::default();
    let other = parts.manifest(&[layer(&[file("no", "")])], gzip, "s390x", &json!({}));
    let mut attestation = parts.manifest(&[], gzip, "unknown", &json!({}));
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    let mine = parts.manifest(&layers(), gzip, &own(), &json!({}));
    let index = json!({"manifests": [other.clone(), attestation, mine]}).to_string();
    let mut nested =
        parts.blob("application/vnd.docker.distribution.manifest.list.v2+json", index.as_bytes());
    nested["annotations"] = json!({"io.containerd.image.name": "docker.io/library/app:1"});
    parts.index(&[nested]);
    let input = || Input::from_stream(&parts.tar()[..], &Limits::default()).unwrap();
    let image = Image::find(input(), &wanted(Some("app"))).unwrap();
    assert_eq!(image.platform, Platform::of_this_machine());
    is_the_image(image);
    let platform = |text| Wanted { platform: Platform::read(text).unwrap(), name: None };
    let image = Image::find(input(), &platform("linux/s390x")).unwrap();
    assert_eq!(image.platform.to_string(), "linux/s390x");
    let error = Image::find(input(), &platform("linux/riscv64")).unwrap_err().to_string();
    let both = format!("linux/{}, linux/s390x", own());
    assert_eq!(
        error,
        format!(
            "the image is not made for linux/riscv64, but for {both}; --platform chooses another"
        )
    );
    // Said by the configuration alone.
    let mut bare = other;
    bare.as_object_mut().unwrap().remove("platform");
    let mut parts = parts.clone();
    parts.index(&[bare]);
    let input = Input::from_stream(&parts.tar()[..], &Limits::default()).unwrap();
    let error = Image::find(input, &wanted(None)).unwrap_err().to_string();
    assert!(error.contains("but for linux/s390x"), "{error}");
}

#[test]
fn one_of_several_names() {
    let mut parts = Parts::default();
    let mut one = parts.manifest(&layers(), gzip, &own(), &json!({"Labels": {"a": "b"}}));
    let mut two = parts.manifest(&layers(), gzip, &own(), &json!({}));
    one["annotations"] = json!({"org.opencontainers.image.ref.name": "1.0"});
    two["annotations"] = json!({"org.opencontainers.image.ref.name": "2.0"});
    let mut again = one.clone();
    again["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    parts.index(&[one.clone(), again.clone(), two]);
    let input = |parts: &Parts| Input::from_stream(&parts.tar()[..], &Limits::default()).unwrap();
    let image = Image::find(input(&parts), &wanted(Some("latest"))).unwrap();
    assert_eq!(image.config.labels, BTreeMap::from([("a".into(), "b".into())]));
    is_the_image(image);
    let error = Image::find(input(&parts), &wanted(None)).unwrap_err().to_string();
    assert_eq!(
        error,
        "the image file has several images: 1.0, 2.0, latest; --image-name chooses one"
    );
    // Two names of one image are no question.
    parts.index(&[one, again]);
    is_the_image(Image::find(input(&parts), &wanted(None)).unwrap());
}
