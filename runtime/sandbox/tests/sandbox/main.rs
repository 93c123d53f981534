//! The sandbox for real: this one binary is the test runner, the launcher, the sandbox helper and
//! the app, told apart by its arguments. A launcher has to own its `main`, so the usual test
//! harness is of no use here; the options it knows that matter (`--list`, a filter) work.
//!
//! Each test runs as root (if we are) and as an ordinary user. One that cannot run says so loudly
//! and adds a line to the file named by `SPK_SKIP_LOG`. As root all run a second time, with the
//! other propagation of mounts than this machine's.

// A test without the usual harness is no test to clippy; here, too, a failed unwrap is the report.
#![allow(clippy::unwrap_used)]

mod app;
mod cgroup;
mod fuse;
mod harness;
mod launch;
mod lifetime;
mod propagation;
mod view;
mod walls;

fn main() {
    spk_sandbox::run_helper_if_asked();
    let args: Vec<String> = std::env::args().collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["/app", what, ..] => app::main(what),
        [_, "launch", order] => launch::main(order),
        _ => harness::main(&[
            ("view::privileges", view::privileges),
            ("view::network", view::network),
            ("view::files", view::files),
            ("view::descriptors_and_environment", view::descriptors_and_environment),
            ("view::limits", view::limits),
            ("view::init_holds_nothing", view::init_holds_nothing),
            ("view::no_namespace_without_the_filter", view::no_namespace_without_the_filter),
            ("view::missing_directories", view::missing_directories),
            ("view::links_are_refused", view::links_are_refused),
            ("view::proc_for_developers", view::proc_for_developers),
            ("view::storage_belongs_to_the_launcher", view::storage_belongs_to_the_launcher),
            ("walls::mounts", walls::mounts),
            ("walls::served_root", walls::served_root),
            ("walls::namespaces", walls::namespaces),
            ("walls::groups", walls::groups),
            ("walls::limits", walls::limits),
            ("walls::init_is_closed", walls::init_is_closed),
            ("walls::capabilities", walls::capabilities),
            ("walls::sessions", walls::sessions),
            ("walls::scope", walls::scope),
            ("walls::unseen", walls::unseen),
            ("walls::signals", walls::signals),
            ("walls::no_link_is_followed", walls::no_link_is_followed),
            ("lifetime::exit_codes", lifetime::exit_codes),
            ("lifetime::exec_failures", lifetime::exec_failures),
            ("lifetime::orphans_are_reaped", lifetime::orphans_are_reaped),
            ("lifetime::grace", lifetime::grace),
            ("lifetime::grace_runs_out", lifetime::grace_runs_out),
            ("lifetime::freeze_and_thaw", lifetime::freeze_and_thaw),
            ("lifetime::launcher_dies", lifetime::launcher_dies),
            ("lifetime::helper_dies", lifetime::helper_dies),
            ("lifetime::helper_dies_unseen", lifetime::helper_dies_unseen),
            ("lifetime::explain", lifetime::explain),
            ("lifetime::nested", lifetime::nested),
            ("lifetime::namespaces_unavailable", lifetime::namespaces_unavailable),
            ("lifetime::in_a_chroot", lifetime::in_a_chroot),
            ("view::with_classic_mounts", view::classic),
            ("cgroup::freezes_and_leaves_nothing", cgroup::freezes_and_leaves_nothing),
            ("cgroup::limits_the_whole_grain", cgroup::limits_the_whole_grain),
            ("fuse::root_is_served", fuse::root_is_served),
            ("fuse::server_dies", fuse::server_dies),
            ("fuse::device_refused", fuse::device_refused),
        ]),
    }
}
