//! The app role: what can be seen and done from inside.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use serde_json::{Value, json};

fn answer(result: std::io::Result<()>) -> String {
    match result {
        Ok(()) => "ok".into(),
        Err(error) => match error.raw_os_error() {
            Some(number) => format!("{:?}", nix::errno::Errno::from_raw(number)),
            None => error.to_string(),
        },
    }
}

fn try_write(path: &str) -> String {
    answer(fs::write(path, "x"))
}

pub fn main(what: &str) -> ! {
    let said = match what {
        "files" => files(),
        "network" => network(),
        "inherited" => inherited(),
        "limits" => limits(),
        "ids" => json!({
            "uid": nix::unistd::getuid().as_raw(), "gid": nix::unistd::getgid().as_raw(),
            "pid": nix::unistd::getpid().as_raw(), "ppid": nix::unistd::getppid().as_raw(),
            "status": fs::read_to_string("/proc/self/status").ok(),
            "init": answer(nix::sys::signal::kill(nix::unistd::Pid::from_raw(1), None).map_err(Into::into)),
            "namespaces": fs::read_to_string("/proc/sys/user/max_user_namespaces").ok(),
        }),
        "write-var" => {
            fs::write("/var/made", "inside").unwrap();
            fs::create_dir("/var/dir").unwrap();
            json!({ "old": fs::read_to_string("/var/old").ok() })
        }
        "exit-7" => std::process::exit(7),
        "abort" => std::process::abort(),
        "deaf" => {
            ignore_all();
            fs::write("/var/ready", "").unwrap();
            sleep_forever()
        }
        "orphans" => orphans(),
        "term" => term(),
        "beat" => beat(),
        "denied" => {
            for _ in 0..3 {
                let _denied = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER);
            }
            let _denied = nix::unistd::chroot("/");
            json!("done")
        }
        "linger" => {
            // A process of another session, deaf to everything that can be ignored.
            fork_deaf();
            fs::write("/var/ready", "").unwrap();
            sleep_forever()
        }
        "hog" => hog(),
        "nest" => {
            json!({ "made": format!("{:?}", nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)) })
        }
        other => panic!("no role {other}"),
    };
    println!("{said}");
    std::process::exit(0);
}

fn files() -> Value {
    let writes: Vec<(String, String)> = [
        "/x",
        "/data",
        "/dev/x",
        "/proc/x",
        "/proc/cpuinfo",
        "/var/x",
        "/tmp/x",
        "/dev/shm/x",
        "/dev/null",
        "/dev/zero",
    ]
    .iter()
    .map(|path| (path.to_string(), try_write(path)))
    .collect();
    let mut tops: Vec<String> = fs::read_dir("/")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    tops.sort();
    let mut dev: Vec<String> = fs::read_dir("/dev")
        .map(|list| list.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    dev.sort();
    let fill = |path: &str| {
        let mut file = fs::File::create(path).unwrap();
        let block = vec![0u8; 1 << 20];
        let mut written = 0;
        while written < 64 && file.write_all(&block).is_ok() {
            written += 1;
        }
        drop(file);
        fs::remove_file(path).unwrap();
        written
    };
    json!({
        "writes": writes, "tops": tops, "dev": dev,
        "chmod": answer(fs::set_permissions("/dev", fs::Permissions::from_mode(0o777))),
        // As it is in any case: it would be the host's.
        "chmod_node": answer(fs::set_permissions("/dev/null", fs::Permissions::from_mode(0o666))),
        "cpuinfo": fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| !text.is_empty()),
        "proc_self": fs::metadata("/proc/self").is_ok(),
        "parent_is_root": fs::metadata("/..").unwrap().ino() == fs::metadata("/").unwrap().ino(),
        "tmp_mib": fill("/tmp/fill"), "shm_mib": fill("/dev/shm/fill"),
        "data": fs::read_to_string("/data").unwrap(),
        "exec_in_var": answer(fs::copy("/app", "/var/app").and_then(|_| {
            std::process::Command::new("/var/app").arg0("/app").arg("exit-7").status().map(drop)
        })),
    })
}

fn network() -> Value {
    let interfaces: Vec<String> = nix::net::if_::if_nameindex()
        .unwrap()
        .iter()
        .map(|interface| interface.name().to_string_lossy().into_owned())
        .collect();
    let route = |to: &str, from: &str| {
        std::net::UdpSocket::bind(from).and_then(|socket| socket.connect(to))
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let own = std::net::TcpStream::connect(listener.local_addr().unwrap()).map(drop);
    json!({
        "interfaces": interfaces,
        "own": answer(own),
        "v4": answer(route("192.0.2.1:9", "0.0.0.0:0")),
        "v6": answer(route("[2001:db8::1]:9", "[::]:0")),
        "low_port": answer(std::net::TcpListener::bind("127.0.0.1:80").map(drop)),
        "host": nix::unistd::gethostname().unwrap().into_string().unwrap(),
    })
}

fn inherited() -> Value {
    let open: Vec<i32> = (0..4096)
        .filter(|fd| {
            // SAFETY: if it is not open, the call only says so.
            nix::sys::stat::fstat(unsafe { std::os::fd::BorrowedFd::borrow_raw(*fd) }).is_ok()
        })
        .collect();
    let mask = nix::sys::signal::SigSet::thread_get_mask().unwrap();
    let umask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    json!({
        "fds": open,
        "args": std::env::args().collect::<Vec<_>>(),
        "environ": std::env::vars().collect::<Vec<_>>(),
        "cwd": std::env::current_dir().unwrap(),
        "umask": umask.bits(),
        "blocked": nix::sys::signal::Signal::iterator().filter(|s| mask.contains(*s)).count(),
        "sid": nix::unistd::getsid(None).unwrap().as_raw(),
    })
}

fn limits() -> Value {
    let mut children = 0;
    // A child that waits counts; they all go when we do.
    while children < 2000 {
        // SAFETY: one thread, and the child only sleeps.
        match unsafe { nix::unistd::fork() } {
            Ok(nix::unistd::ForkResult::Child) => sleep_forever(),
            Ok(_) => children += 1,
            Err(_) => break,
        }
    }
    let mut inodes = 0;
    while inodes < 10_000 && fs::write(format!("/tmp/f{inodes}"), "").is_ok() {
        inodes += 1;
    }
    let core = getrlimit(Resource::RLIMIT_CORE).unwrap();
    nix::sys::resource::setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap();
    let lowered = getrlimit(Resource::RLIMIT_CORE).unwrap();
    let mut held = Vec::new();
    while held.len() < 500
        && let Ok(watcher) = nix::sys::inotify::Inotify::init(nix::sys::inotify::InitFlags::empty())
    {
        held.push(watcher);
    }
    let watchers = held.len();
    drop(held);
    json!({
        "children": children, "inodes": inodes,
        "open": getrlimit(Resource::RLIMIT_NOFILE).unwrap(),
        "core": core,
        "core_after_lowering": lowered,
        "locked": getrlimit(Resource::RLIMIT_MEMLOCK).unwrap(),
        "nice": getrlimit(Resource::RLIMIT_NICE).unwrap(),
        "urgent": getrlimit(Resource::RLIMIT_RTPRIO).unwrap(),
        "watchers": watchers,
        "raise": answer(nix::sys::resource::setrlimit(Resource::RLIMIT_NOFILE, 9000, 9000)
            .map_err(std::io::Error::from)),
    })
}

/// Takes memory in several processes, each of them less than the whole.
fn hog() -> ! {
    for _ in 0..8 {
        // SAFETY: one thread, and the child only allocates and waits.
        if let nix::unistd::ForkResult::Child = unsafe { nix::unistd::fork() }.unwrap() {
            std::mem::forget(vec![1u8; 32 << 20]);
            sleep_forever()
        }
    }
    sleep_forever()
}

fn sleep_forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn fork_deaf() {
    // SAFETY: the child only waits: it needs nothing that a fork could have left half-done.
    if let nix::unistd::ForkResult::Child = unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::setsid().unwrap();
        ignore_all();
        sleep_forever()
    }
}

fn ignore_all() {
    for signal in nix::sys::signal::Signal::iterator() {
        // SAFETY: SigIgn runs no code of ours.
        let _kept =
            unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigIgn) };
    }
}

fn orphans() -> Value {
    use nix::unistd::{ForkResult, fork};
    // More grandchildren, one after the other, than processes are allowed at once.
    for _ in 0..1500 {
        loop {
            // SAFETY: one thread, and both children end at once.
            match unsafe { fork() } {
                Ok(ForkResult::Child) => {
                    // SAFETY: as above.
                    if let Ok(ForkResult::Child) = unsafe { fork() } {
                        std::process::exit(0);
                    }
                    std::process::exit(0);
                }
                Ok(ForkResult::Parent { child }) => {
                    nix::sys::wait::waitpid(child, None).unwrap();
                    break;
                }
                // Init is slower than we are; a leak of zombies would keep us here for good.
                Err(_) => std::thread::yield_now(),
            }
        }
    }
    json!("reaped")
}

/// Says that SIGTERM came, by its exit code.
fn term() -> ! {
    extern "C" fn leave(_: i32) {
        // SAFETY: _exit is safe in a handler.
        unsafe { nix::libc::_exit(42) };
    }
    let handler = nix::sys::signal::SigHandler::Handler(leave);
    // SAFETY: the handler does nothing but end the process.
    unsafe { nix::sys::signal::signal(nix::sys::signal::Signal::SIGTERM, handler) }.unwrap();
    fs::write("/var/ready", "").unwrap();
    sleep_forever()
}

/// Waits in three ways, for longer than the freeze takes; what came of it is in a file then.
fn waits() {
    const LONG: Duration = Duration::from_millis(1500);
    let (reader, _writer) = nix::unistd::pipe().unwrap();
    let poll = std::thread::spawn(move || {
        let mut polled = [nix::poll::PollFd::new(
            std::os::fd::AsFd::as_fd(&reader),
            nix::poll::PollFlags::POLLIN,
        )];
        let timeout = u16::try_from(LONG.as_millis()).unwrap();
        format!("{:?}", nix::poll::poll(&mut polled, timeout))
    });
    let sleep = std::thread::spawn(|| {
        let time = *nix::sys::time::TimeSpec::from_duration(LONG).as_ref();
        // SAFETY: both pointers are valid or null, as the call allows.
        let done = unsafe { nix::libc::nanosleep(&raw const time, std::ptr::null_mut()) };
        format!("{done}")
    });
    let futex = std::thread::spawn(|| {
        let word = std::sync::atomic::AtomicU32::new(0);
        let time = *nix::sys::time::TimeSpec::from_duration(LONG).as_ref();
        // SAFETY: FUTEX_WAIT on a word of ours, with a valid time.
        let done = unsafe {
            nix::libc::syscall(
                nix::libc::SYS_futex,
                word.as_ptr(),
                nix::libc::FUTEX_WAIT,
                0,
                &raw const time,
            )
        };
        format!("{done} {:?}", nix::errno::Errno::last())
    });
    let said = [poll, sleep, futex].map(|thread| thread.join().unwrap());
    fs::write("/var/waits.new", said.join("; ")).unwrap();
    fs::rename("/var/waits.new", "/var/waits").unwrap();
}

/// Appends to a file all the time.
fn beat() -> ! {
    // What waits meanwhile must go on waiting after a thaw.
    std::thread::spawn(waits);
    let mut file = fs::File::create("/var/beat").unwrap();
    loop {
        file.write_all(b".").unwrap();
        if file.metadata().unwrap().len() == 3 {
            fs::write("/var/ready", "").unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
