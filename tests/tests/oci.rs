//! `spk oci`: the image is what its specification says, the same every time, and serves its grain
//! under an OCI runtime.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use serde_json::{Value, json};
use spk_tests::bins::{fails, ok};
use spk_tests::{Server, Stage, Who, http, skip};

/// A package of the sample app.
fn package(stage: &Stage) {
    ok(stage.spk().args(["init", "-q", "--template", "python", "--title", "My Notes"]));
    let server = Server::start(stage.spk().arg("dev"));
    assert_eq!(http::get(&server.at("")).status, 200);
    server.stop();
    ok(stage.spk().args(["pack", "-q", "--fast", "app.spk"]));
}

#[test]
fn an_image_is_the_same_every_time_and_complete() {
    let stage = Stage::new(Who::User);
    package(&stage);
    let said = ok(stage.spk().args(["oci", "app.spk", "-o", "one.tar", "--json"]));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["tag"], "my-notes:0");
    ok(stage.spk().args(["oci", "app.spk", "-o", "two.tar"]));
    let read = |name: &str| fs::read(stage.work().join(name)).unwrap();
    assert!(read("one.tar") == read("two.tar"), "the same bytes");
    let piped = stage.spk().args(["oci", "app.spk", "-o", "-"]).output().unwrap();
    assert!(piped.stdout == read("one.tar"), "the same into a pipe");

    // Every descriptor is true, by somebody else's reckoning.
    ok(stage.spk().args(["oci", "app.spk", "-o", "layout", "--format", "dir"]));
    let layout = stage.work().join("layout");
    for blob in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let sum = ok(Command::new("sha256sum").arg(&blob));
        assert!(sum.starts_with(blob.file_name().unwrap().to_str().unwrap()), "{sum}");
    }
    let json = |path: &str| -> Value {
        serde_json::from_slice(&fs::read(layout.join(path)).unwrap()).unwrap()
    };
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
        let path = format!("blobs/{digest}");
        assert_eq!(fs::metadata(layout.join(&path)).unwrap().len(), descriptor["size"]);
        path
    };
    let manifest = json(&blob(&json("index.json")["manifests"][0]));
    let config = json(&blob(&manifest["config"]));
    manifest["layers"].as_array().unwrap().iter().for_each(|layer| drop(blob(layer)));
    assert_eq!(config["config"]["Volumes"], json!({ "/var": {} }));
    assert_eq!(config["config"]["User"], "1000:1000");

    assert_eq!(config["config"]["ExposedPorts"], json!({ "8080/tcp": {} }));
    assert_eq!(config["config"]["Entrypoint"][0], "/spk");
    // Layers are not compressed, so their digests are those of what is in them.
    let digests = manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["digest"]);
    assert!(digests.eq(config["rootfs"]["diff_ids"].as_array().unwrap()));

    // Who gets the program gets the licences of what is in it.
    let program = blob(&manifest["layers"][0]);
    let notices = ok(Command::new("tar")
        .arg("-xOf")
        .arg(layout.join(program))
        .arg("usr/share/doc/spk/third-party.txt"));
    assert!(notices.contains("Apache License") && notices.contains("GNU C Library"), "{notices}");

    // `docker load` goes by another list, of files in the tar.
    let inside = |path: &str| {
        let mut tar = Command::new("tar");
        tar.args(["-xOf", "one.tar", path]).current_dir(stage.work()).output().unwrap().stdout
    };
    let list: Value = serde_json::from_slice(&inside("manifest.json")).unwrap();
    assert_eq!(list[0]["RepoTags"], json!(["my-notes:0"]));
    let loaded: Value =
        serde_json::from_slice(&inside(list[0]["Config"].as_str().unwrap())).unwrap();
    assert_eq!(loaded, config);
    let layers = list[0]["Layers"].as_array().unwrap();
    assert_eq!(layers.len(), config["rootfs"]["diff_ids"].as_array().unwrap().len());
    for (layer, digest) in layers.iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
        let path = digest.as_str().unwrap().replace(':', "/");
        assert_eq!(layer.as_str().unwrap(), format!("blobs/{path}"));
        assert!(!inside(layer.as_str().unwrap()).is_empty());
    }

    // Nothing is left of what fails, and nothing is overwritten.
    fails(stage.spk().args(["oci", "app.spk", "-o", "layout", "--format", "dir"]));
    stage.write("broken.spk", &read("app.spk")[..1000]);
    fails(stage.spk().args(["oci", "broken.spk", "-o", "broken.tar"]));
    let left: Vec<_> =
        fs::read_dir(stage.work()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("broken.tar")), "{left:?}");
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

/// Where the container is reached from outside.
const ADDRESS: &str = "10.0.0.2";

/// A network namespace that has an address, as engines make them, and nothing to reach from it.
struct Network(String);

impl Network {
    fn make() -> Network {
        let network = Network(format!("spk-test-{}", std::process::id()));
        let ip = |arguments: &[&str]| ok(Command::new("ip").args(arguments));
        ip(&["netns", "add", &network.0]);
        ip(&["-n", &network.0, "link", "set", "lo", "up"]);
        ip(&["-n", &network.0, "addr", "add", &format!("{ADDRESS}/32"), "dev", "lo"]);
        network
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.0)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A running container.
struct Container {
    child: Child,
    bundle: PathBuf,
    pid: i32,
}

impl Container {
    /// Unpacks the image with umoci and runs it with the runtime; `None` if the runtime cannot run
    /// anything on this machine.
    fn start(
        stage: &Stage,
        runtime: &str,
        volume: &Path,
        network: &Network,
    ) -> Result<Container, String> {
        let bundle = stage.home().join("bundle");
        if !bundle.exists() {
            let image = format!("{}:0", stage.work().join("layout").display());
            ok(Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle));
            let file = bundle.join("config.json");
            let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            config["process"]["terminal"] = json!(false);
            config["root"]["readonly"] = json!(true);
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
            mounts.push(json!({
                "destination": "/var", "type": "bind", "source": volume, "options": ["rbind", "rw"],
            }));
            assert_eq!(config["process"]["user"]["uid"], 1000);
            assert_eq!(config["process"]["noNewPrivileges"], true);
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            let of_network = namespaces.iter_mut().find(|one| one["type"] == "network");
            of_network.unwrap()["path"] = json!(network.path());
            fs::write(&file, config.to_string()).unwrap();
        }
        let said = fs::File::create(stage.home().join("said")).unwrap();
        let name = format!("spk-test-{}", std::process::id());
        let mut child = Command::new(runtime)
            .args(["run", "--bundle"])
            .arg(&bundle)
            .arg(&name)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let said = fs::read_to_string(stage.home().join("said")).unwrap();
            if said.contains("for HTTP clients") {
                let state = ok(Command::new(runtime).args(["state", &name]));
                let state: Value = serde_json::from_str(&state).unwrap();
                return Ok(Container { child, bundle, pid: state["pid"].as_i64().unwrap() as i32 });
            }
            if child.try_wait().unwrap().is_some() || Instant::now() > end {
                let _ = child.kill();
                return Err(said);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// curl, in the container's network.
    fn curl(&self, arguments: &[&str]) -> String {
        let pid = self.pid.to_string();
        ok(Command::new("nsenter").args(["-t", &pid, "-n", "curl", "-sS"]).args(arguments))
    }

    fn stop(mut self) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), nix::sys::signal::SIGTERM)
            .unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}; bundle {}", self.bundle.display());
    }
}

#[test]
fn a_container_serves_its_grain_and_keeps_it_in_the_volume() {
    let test = "a_container_serves_its_grain_and_keeps_it_in_the_volume";
    if !geteuid().is_root() {
        return skip::needs_root(test, "only root starts containers here");
    }
    for tool in ["umoci", "nsenter", "curl", "ip"] {
        if Command::new(tool).arg("-V").output().is_err() {
            return skip::skip(test, &format!("{tool} is not installed"));
        }
    }
    let stage = Stage::new(Who::User);
    package(&stage);
    ok(stage.spk().args(["oci", "app.spk", "-o", "layout", "--format", "dir"]));
    let volume = stage.home().join("volume");
    fs::create_dir(&volume).unwrap();
    ok(Command::new("chown").arg("1000:1000").arg(&volume));

    let network = Network::make();
    let mut why = String::new();
    let runtimes = ["crun", "runc"]
        .into_iter()
        .filter(|name| Command::new(name).arg("--version").output().is_ok());
    let mut started = None;
    for runtime in runtimes {
        match Container::start(&stage, runtime, &volume, &network) {
            Ok(container) => {
                started = Some((runtime, container));
                break;
            }
            Err(said) => why += &format!("{runtime}: {said} "),
        }
    }
    let Some((runtime, container)) = started else {
        return skip::skip(test, &format!("no OCI runtime runs here: {why}"));
    };
    println!("under {runtime}");
    let url = || {
        let said = fs::read_to_string(stage.home().join("said")).unwrap();
        said.lines().find_map(|line| line.split_once("for HTTP clients: ")).unwrap().1.to_owned()
    };
    let page = container.curl(&[&url()]);
    assert!(page.contains("Hello, <b>Alice"), "{page}");
    container.curl(&["-d", "text=kept", &format!("{}notes", url())]);
    // From outside, as through a published port: to the container's address, under the same name.
    let from_outside = format!("::{ADDRESS}:8080");
    let page = container.curl(&["--connect-to", &from_outside, &url()]);
    assert!(page.contains("kept"), "{page}");
    container.stop();

    // Another container, the same volume.
    let container = Container::start(&stage, runtime, &volume, &network).unwrap();
    let page = container.curl(&[&url()]);
    assert!(page.contains("kept"), "{page}");
    container.stop();

    // The volume is a state directory like any other.
    ok(Command::new("chown").arg("-R").arg("0:0").arg(&volume));
    let listed =
        ok(Command::new(stage.spk_path()).arg("--state").arg(&volume).args(["grain", "list"]));
    assert!(listed.contains("My Notes"), "{listed}");
}
