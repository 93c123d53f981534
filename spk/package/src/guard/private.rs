//! Which directories and files of this machine are private: homes, wherever they are, and what the
//! machine itself keeps secret. A map that shows `/` is not meant to show these.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::{What, Withheld};

/// Users of people have numbers from here on (`UID_MIN` of login.defs).
const PEOPLE: u32 = 1000;

/// Nobody.
const NOBODY: u32 = 65534;

/// What is secret in a home, even where a map shows that home itself.
const IN_HOMES: [&str; 18] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".config/gcloud",
    ".config/gh",
    ".password-store",
    ".local/share/keyrings",
    ".mozilla",
    ".netrc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".bash_history",
    ".sandstorm-keyring",
    ".sandstorm/sandstorm-keyring",
];

/// Directories below `/` with secrets.
const IN_ROOT: [&str; 12] = [
    "etc/sudoers.d",
    "etc/ssl/private",
    "etc/pki/tls/private",
    "etc/letsencrypt",
    "etc/wireguard",
    "etc/NetworkManager/system-connections",
    "etc/credstore",
    "etc/credstore.encrypted",
    "etc/apt/auth.conf.d",
    "etc/samba/private",
    "var/backups",
    "var/mail",
];

/// Files below `/` with secrets, by their directories and the beginnings of their names: copies that
/// programs and people make have something appended (`shadow-`, `sudoers~`, `krb5.keytab.bak`), or a
/// point in front (`.shadow.swp`).
const PREFIXES: [(&str, &[u8]); 25] = [
    ("etc", b"shadow"),
    ("etc", b".shadow"),
    ("etc", b"gshadow"),
    ("etc", b".gshadow"),
    ("etc", b"passwd-"),
    ("etc", b"passwd."),
    ("etc", b"passwd~"),
    ("etc", b".passwd"),
    ("etc", b"group-"),
    ("etc", b"group."),
    ("etc", b"group~"),
    ("etc", b"subuid-"),
    ("etc", b"subgid-"),
    ("etc", b"sudoers"),
    ("etc", b".sudoers"),
    ("etc", b"krb5.keytab"),
    ("etc", b"ipsec.secrets"),
    ("etc/security", b"opasswd"),
    ("etc/security", b".opasswd"),
    ("etc/ssh", b"ssh_host_"),
    ("etc/apt", b"auth.conf"),
    ("etc/ppp", b"chap-secrets"),
    ("etc/ppp", b"pap-secrets"),
    ("etc/mysql", b"debian.cnf"),
    ("etc/docker", b"key.json"),
];

impl Withheld {
    /// Withholds all homes, `home` (`$HOME`) and those of `users` among them, and the machine's
    /// secrets. Not everybody is in `/etc/passwd`, and what knows the others may not list them:
    /// `look_up` is asked for lines like its own, for `users` and for whoever owns a directory
    /// beside a home.
    pub fn add_private(
        &mut self,
        home: Option<&Path>,
        users: &[u32],
        look_up: &dyn Fn(&[u32]) -> String,
    ) {
        let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
        let mut passwd = String::from_utf8_lossy(&passwd).into_owned();
        let mut homes = homes(&passwd);
        homes.extend(home.map(Path::to_owned));
        for people in [users.iter().copied().collect(), neighbours(&homes)] {
            let unknown: Vec<u32> =
                people.into_iter().filter(|uid| is_person(*uid) && !knows(&passwd, *uid)).collect();
            if !unknown.is_empty() {
                let more = look_up(&unknown);
                homes.extend(self::homes(&more));
                passwd.push_str(&more);
            }
        }
        homes.push("/root".into());
        for home in homes {
            let Ok(home) = home.canonicalize() else { continue };
            if is_home(&home) {
                self.add(&home, What::Home);
            }
            for secret in IN_HOMES.iter().map(|name| home.join(name)) {
                if secret.parent().is_some_and(Path::is_dir) {
                    self.add(&secret, What::Secret);
                }
            }
        }
        self.add_machine(Path::new("/"));
    }

    fn add_machine(&mut self, root: &Path) {
        for secret in IN_ROOT.iter().map(|name| root.join(name)) {
            if secret.symlink_metadata().is_ok() {
                self.add(&secret, What::Secret);
            }
        }
        for (dir, prefix) in PREFIXES {
            self.add_prefix(&root.join(dir), prefix, What::Secret);
        }
    }
}

/// Homes of people, and of other accounts that somebody can log in to, in a user database.
fn homes(passwd: &str) -> Vec<PathBuf> {
    let home = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, uid, _, _, home, shell] = fields[..] else { return None };
        let uid: u32 = uid.parse().ok()?;
        let shell = shell.rsplit('/').next().unwrap_or_default();
        (is_person(uid) || shell.ends_with("sh")).then(|| PathBuf::from(home))
    };
    passwd.lines().filter_map(home).filter(|home| home.is_absolute()).collect()
}

/// Who owns a directory beside a home, or in `/home`.
fn neighbours(homes: &[PathBuf]) -> BTreeSet<u32> {
    let parents = homes.iter().filter(|home| is_home(home)).filter_map(|home| home.parent());
    let parents: BTreeSet<&Path> = parents.chain([Path::new("/home")]).collect();
    let entries = parents.into_iter().flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten());
    let directories = entries.flatten().filter_map(|entry| entry.metadata().ok());
    directories.filter(Metadata::is_dir).map(|metadata| metadata.uid()).collect()
}

/// Whether a user database has the user of this number.
fn knows(passwd: &str, uid: u32) -> bool {
    let number = |line: &str| line.split(':').nth(2)?.parse::<u32>().ok();
    passwd.lines().any(|line| number(line) == Some(uid))
}

fn is_person(uid: u32) -> bool {
    (PEOPLE..NOBODY).contains(&uid) || uid > NOBODY
}

/// Whether a directory (without links on the way) can be somebody's home, and not one of those
/// that a system is made of, which careless entries of the user database name.
fn is_home(path: &Path) -> bool {
    /// Their own directories are the system's, too.
    const PARENTS: [&str; 5] = ["etc", "home", "run", "usr", "var"];
    /// Nothing below is anybody's home.
    const WHOLE: [&str; 9] = ["bin", "sbin", "lib", "lib32", "lib64", "boot", "dev", "proc", "sys"];
    const TOP: [&str; 5] = ["media", "mnt", "opt", "srv", "tmp"];
    let components: Vec<&str> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_str().unwrap_or("?")),
            _ => None,
        })
        .collect();
    match components[..] {
        [] => false,
        [top, ..] if WHOLE.contains(&top) => false,
        [top] => !PARENTS.contains(&top) && !TOP.contains(&top),
        [top, _] => top == "home" || !PARENTS.contains(&top),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn who_has_a_home() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n\
                      daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                      sync:x:4:65534:sync:/bin:/bin/sync\n\
                      postgres:x:101:104::/var/lib/postgresql:/bin/bash\n\
                      ann:x:1000:1000::/export/home/ann:/bin/zsh\n\
                      ftp:x:1003:1003::/srv/ftp/up:/usr/sbin/nologin\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
                      broken line\n";
        let expected = ["/root", "/var/lib/postgresql", "/export/home/ann", "/srv/ftp/up"];
        assert_eq!(homes(passwd), expected.map(PathBuf::from));
    }

    #[test]
    fn owners_of_directories_beside_a_home() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir(top.path().join("ann")).unwrap();
        let own = top.path().metadata().unwrap().uid();
        assert!(neighbours(&[top.path().join("ann")]).contains(&own));
        assert!(!neighbours(&[top.path().join("ann/none")]).contains(&70_001));
    }

    /// As where users come from a directory service: `/etc/passwd` has none of them.
    #[test]
    fn whoever_is_not_in_the_file_is_looked_up() {
        let top = tempfile::tempdir().unwrap();
        let (ann, bob) = (top.path().join("ann"), top.path().join("bob"));
        for home in [&ann, &bob] {
            fs::create_dir(home).unwrap();
        }
        let asked = std::cell::RefCell::new(Vec::new());
        let look_up = |uids: &[u32]| {
            asked.borrow_mut().extend_from_slice(uids);
            format!("ann:*:70001:70001::{}:/bin/sh\n", ann.display())
        };
        let mut withheld = Withheld::default();
        withheld.add_private(None, &[0, 70_001], &look_up);
        let what = |path: &Path| withheld.what(path, &path.metadata().unwrap(), false);
        assert_eq!((what(&ann), what(&bob)), (Some(What::Home), None));
        assert_eq!(asked.borrow().iter().filter(|uid| [0, 70_001].contains(uid)).count(), 1);
    }

    #[test]
    fn what_a_system_is_made_of_is_no_home() {
        for (path, is) in [
            ("/", false),
            ("/bin", false),
            ("/usr/sbin", false),
            ("/var/www", false),
            ("/tmp", false),
            ("/home", false),
            ("/dev/shm/x", false),
            ("/root", true),
            ("/home/ann", true),
            ("/u/ann", true),
            ("/app", true),
            ("/usr/src/home/dev", true),
            ("/var/lib/postgresql", true),
            ("/opt/ann", true),
            ("/tmp/x", true),
        ] {
            assert_eq!(is_home(Path::new(path)), is, "{path}");
        }
    }

    #[test]
    fn secrets_of_a_machine_and_their_copies() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/ssh")).unwrap();
        fs::create_dir_all(root.path().join("etc/ssl/private")).unwrap();
        let etc = root.path().join("etc");
        for name in ["shadow", "gshadow-", "passwd", "passwd-", "hosts", "group", "sudoers"] {
            fs::write(etc.join(name), "").unwrap();
        }
        let mut withheld = Withheld::default();
        withheld.add_machine(root.path());
        // what an editor or a package manager leaves during the session
        fs::write(etc.join("shadow.dpkg-old"), "").unwrap();
        fs::write(etc.join("ssh/ssh_host_rsa_key"), "").unwrap();
        let copies = ["sudoers~", ".shadow.swp", "passwd.bak", "group-", "krb5.keytab.old"];
        copies.iter().for_each(|name| fs::write(etc.join(name), "").unwrap());
        let mut shown = Vec::new();
        for path in ["shadow", "gshadow-", "passwd", "passwd-", "hosts", "shadow.dpkg-old"]
            .into_iter()
            .chain(["ssh", "ssh/ssh_host_rsa_key", "ssl", "ssl/private", "group", "sudoers"])
            .chain(copies)
        {
            let at = etc.join(path);
            if withheld.what(&at, &at.symlink_metadata().unwrap(), false).is_none() {
                shown.push(path);
            }
        }
        assert_eq!(shown, ["passwd", "hosts", "ssh", "ssl", "group"]);
    }
}
