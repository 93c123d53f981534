//! Landlock, the second wall: the same rules as the mounts, enforced by other code.

use ::landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use nix::errno::Errno;

use crate::error::{Failure, Step};

/// The newest interface whose rights we know; older kernels give what they have.
const KNOWN: ABI = ABI::V6;

/// Read and execute anywhere; write below `/var`, `/tmp` and `/dev/shm` and to the device nodes
/// only; no signal and no abstract socket beyond the app's own processes.
///
/// `writes_reach_server` waives the rule for `/`, whose file system records attempts to write and refuses
/// them itself.
///
/// `false`: this kernel has no Landlock (that is no error: the mounts say the same).
pub(crate) fn restrict(proc: bool, writes_reach_server: bool) -> Result<bool, Failure> {
    let failed = |_| Failure::new(Step::Landlock, "", Errno::EINVAL);
    let read = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    let nodes = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    let write = AccessFs::from_all(KNOWN) & !nodes;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let mut rules: Vec<(&str, BitFlags<AccessFs>)> =
        vec![("/var", write), ("/tmp", write), ("/dev/shm", write)];
    // `writes_reach_server`: the file system refuses, and wants to be asked.
    rules.push(("/", if writes_reach_server { read | write } else { read }));
    for node in ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"] {
        rules.push((node, device));
    }
    if proc {
        rules.push(("/proc", read | AccessFs::WriteFile));
    }
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(KNOWN)))
        .and_then(Ruleset::create)
        .map_err(failed)?;
    for (path, access) in rules {
        // What the package has no directory for does not exist inside, and needs no rule.
        if let Ok(fd) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(fd, access)).map_err(failed)?;
        }
    }
    let status = ruleset.restrict_self().map_err(failed)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
