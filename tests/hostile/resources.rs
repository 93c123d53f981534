//! Taking too much. Each prints how far it got.

use std::io::Write as _;

pub fn main(which: &str) -> ! {
    match which {
        "forks" => forks(),
        "memory" => memory(),
        "descriptors" => descriptors(),
        "tmp" => fill("/tmp"),
        "shm" => fill("/dev/shm"),
        "inodes" => inodes("/tmp"),
        "shm-inodes" => inodes("/dev/shm"),
        "kill-all" => kill_all(),
        "file" => file(),
        "log" => log(),
        other => panic!("no attack {other}"),
    }
    std::process::exit(0)
}

/// Every process forks as often as it can, and stays.
fn forks() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    for _ in 0..5000 {
        // SAFETY: one thread in each of these processes.
        match unsafe { nix::unistd::fork() } {
            Ok(nix::unistd::ForkResult::Child) => {
                let _told = writer.write_all(b".");
            }
            Ok(nix::unistd::ForkResult::Parent { .. }) => {}
            Err(_) => break,
        }
    }
    if nix::unistd::getpid().as_raw() != 2 {
        loop {
            nix::unistd::pause();
        }
    }
    drop(writer);
    let mut count = vec![0; 10_000];
    // As many as fit the pipe's first read: all that were made before the limit was met.
    let got = std::io::Read::read(&mut reader, &mut count).unwrap();
    println!("{got}");
}

fn memory() {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut block: Vec<u8> = Vec::new();
        if block.try_reserve_exact(1 << 20).is_err() {
            break;
        }
        block.resize(1 << 20, 1);
        held.push(block);
        if held.len() > 8192 {
            break;
        }
    }
    let got = held.len();
    held.truncate(1);
    println!("{got}");
}

fn descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let mut held = Vec::new();
    while held.len() < 100_000 {
        match nix::unistd::dup(std::io::stdout()) {
            Ok(fd) => held.push(fd),
            Err(_) => break,
        }
    }
    println!("{}", held.len());
}

fn fill(directory: &str) {
    let mut file = std::fs::File::create(format!("{directory}/fill")).unwrap();
    let block = vec![1u8; 1 << 16];
    let mut got = 0;
    while got < 16_384 && file.write_all(&block).is_ok() {
        got += 1;
    }
    println!("{}", got / 16);
}

fn inodes(directory: &str) {
    let mut got = 0;
    while got < 100_000 && std::fs::File::create(format!("{directory}/{got}")).is_ok() {
        got += 1;
    }
    println!("{got}");
}

/// SIGKILL to every process there is; how many were hit, of three.
fn kill_all() {
    use nix::sys::signal::{Signal, kill};
    for _ in 0..3 {
        // SAFETY: one thread, and the child only waits.
        if let nix::unistd::ForkResult::Child = unsafe { nix::unistd::fork() }.unwrap() {
            loop {
                nix::unistd::pause();
            }
        }
    }
    // All but the caller and PID 1.
    kill(nix::unistd::Pid::from_raw(-1), Signal::SIGKILL).unwrap();
    let mut hit = 0;
    while let Ok(nix::sys::wait::WaitStatus::Signaled(..)) = nix::sys::wait::wait() {
        hit += 1;
    }
    println!("{hit}");
}

/// A sparse file beyond the limit.
fn file() {
    let file = std::fs::File::create("/var/sparse").unwrap();
    // SAFETY: SIG_IGN runs no code of ours; the default for this signal would be death.
    let _kept = unsafe {
        nix::sys::signal::signal(
            nix::sys::signal::Signal::SIGXFSZ,
            nix::sys::signal::SigHandler::SigIgn,
        )
    };
    let mut bytes = 1u64 << 20;
    while bytes < 1 << 50 && file.set_len(bytes).is_ok() {
        bytes *= 2;
    }
    drop(file);
    std::fs::remove_file("/var/sparse").unwrap();
    println!("{}", bytes >> 20);
}

/// 256 MiB to the log.
fn log() {
    let block = vec![b'x'; 1 << 20];
    let mut out = std::io::stdout();
    for _ in 0..256 {
        if out.write_all(&block).is_err() {
            break;
        }
    }
}
