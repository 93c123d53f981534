//! Stacks of layers at random, unpacked by umoci as well: the same tree.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use spk_image::{Image, Input, Limits, Platform};

use crate::build::*;

fn has_umoci() -> bool {
    Command::new("umoci").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// As an engine would write them: what is in a directory comes behind it, nothing comes twice, and
/// whiteouts are of what may be below.
fn any_layer() -> impl Strategy<Value = Vec<Entry>> {
    let name = || select(vec!["a", "b", "c"]);
    let path = prop::collection::vec(name(), 1..4).prop_map(|names| names.join("/"));
    let entry = (path, 0..8u8, 0..4u32, name(), 1..1000u64);
    prop::collection::vec(entry, 0..10).prop_map(|raw| {
        let mut layer: Vec<Entry> = Vec::new();
        let mut whiteouts = Vec::new();
        for (path, kind, mode, other, mtime) in raw {
            let is_taken = |layer: &[Entry], path: &str| {
                layer.iter().any(|entry| {
                    let name = String::from_utf8_lossy(&entry.name).into_owned();
                    name == path || name.starts_with(&format!("{path}/"))
                })
            };
            if is_taken(&layer, &path) {
                continue;
            }
            // The directories above, unless something else has their place.
            let above: Vec<String> =
                path.match_indices('/').map(|(slash, _)| path[..slash].to_owned()).collect();
            let is_dir = |layer: &[Entry], path: &str| {
                layer
                    .iter()
                    .find(|entry| entry.name == path.as_bytes())
                    .map(|entry| entry.kind.is_dir())
            };
            if above.iter().any(|above| is_dir(&layer, above) == Some(false)) {
                continue;
            }
            for above in &above {
                if is_dir(&layer, above).is_none() {
                    layer.push(dir(above).mtime(mtime));
                }
            }
            let mode = [0o644, 0o755, 0o600, 0o4755][mode as usize];
            let (parent, last) = path.rsplit_once('/').unwrap_or(("", &path));
            let beside = |name: &str| match parent {
                "" => name.to_owned(),
                parent => format!("{parent}/{name}"),
            };
            match kind {
                0 | 1 => {
                    layer.push(file(&path, &format!("{path} {mtime}")).mode(mode).mtime(mtime))
                }
                2 => layer.push(dir(&path).mode(mode & 0o777 | 0o700).mtime(mtime)),
                // Within the image, there or not.
                3 => {
                    let up = "../".repeat(above.len().min(1));
                    layer.push(symlink(&path, &format!("{up}{other}")));
                }
                4 => whiteouts.push(file(&beside(&format!(".wh.{last}")), "")),
                5 => whiteouts.push(file(&beside(".wh..wh..opq"), "")),
                // To something of the same layer, which is surely there.
                _ => {
                    let mut files = layer.iter().filter(|entry| entry.kind.is_file());
                    let Some(target) = files.next_back().map(|entry| entry.name.clone()) else {
                        continue;
                    };
                    layer.push(hard_link(&path, &String::from_utf8_lossy(&target)));
                }
            }
        }
        // In front, behind, and between.
        for (at, whiteout) in whiteouts.into_iter().enumerate() {
            if layer.iter().any(|entry| entry.name == whiteout.name) {
                continue;
            }
            let at = (at * 3) % (layer.len() + 1);
            layer.insert(at, whiteout);
        }
        layer
    })
}

fn by_umoci(layers: &[Vec<u8>], temp: &Path) -> Result<Vec<String>, String> {
    let mut parts = Parts::default();
    let own = Platform::of_this_machine().architecture;
    let mut manifest = parts.manifest(layers, gzip, &own, &json!({}));
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "it"});
    parts.index(&[manifest]);
    parts.write(&temp.join("layout"));
    let output = Command::new("umoci")
        .args(["unpack", "--rootless", "--image", "layout:it", "bundle"])
        .current_dir(temp)
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(listing(&temp.join("bundle/rootfs"), true))
}

/// Owners read their files here, and set-id bits are not kept. Times of directories are left out: umoci
/// does not give them back after a whiteout.
fn alike(line: &str) -> String {
    match line.rsplitn(3, ' ').collect::<Vec<_>>()[..] {
        [time, mode, what] if !line.contains(" -> ") && !line.starts_with("one file") => {
            let mode = u32::from_str_radix(mode, 8).unwrap() & 0o1777;
            match what.ends_with('/') {
                true => format!("{what} {:o}", mode | 0o700),
                false => format!("{what} {:o} {time}", mode | 0o600),
            }
        }
        _ => line.to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_stacks_are_the_same_tree(stack in prop::collection::vec(any_layer(), 1..5)) {
        if !has_umoci() {
            spk_skip::skip("random_stacks_are_the_same_tree", "there is no umoci");
            return Ok(());
        }
        let layers: Vec<Vec<u8>> = stack.iter().map(|entries| layer(entries)).collect();
        let temp = tempfile::tempdir().unwrap();
        let theirs = by_umoci(&layers, temp.path());
        let input = Input::open(&temp.path().join("layout"), &Limits::default()).unwrap();
        let ours = unpack(Image::find(input, &wanted(None)).unwrap(), &Limits::default());
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                let lines = |lines: Vec<String>| lines.iter().map(|line| alike(line)).collect::<Vec<_>>();
                prop_assert_eq!(lines(listing(ours.root.path(), true)), lines(theirs));
            }
            // Below a file of a lower layer, say.
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{ours:?}\n{theirs:?}\n{stack:#?}"),
        }
    }
}
