#!/usr/bin/env bash
# Both commands of the README on a bare Debian 12, twice in a row, as root and as an ordinary user
# with sudo: in a tree made by debootstrap, entered by pivot_root (in a chroot the kernel makes no
# user namespaces), on fresh checkouts of this one's last commit.
#
#   sudo tests/bare.sh DIR              # makes DIR if it is not there, runs everything, sums up
#   sudo tests/bare.sh DIR demo user    # only tests/demo.sh, only as the user
#   sudo tests/bare.sh DIR apps user first   # tests/demo.sh, then all of tests/apps (or BARE_APPS): an hour
#   sudo tests/bare.sh DIR all first    # only the first round; again: one more on the same checkouts
#   sudo BARE_SHARE=1 tests/bare.sh DIR user again   # as the user on root's checkout, already compiled
#   sudo tests/bare.sh DIR shell        # a shell in there
#
# What comes from this machine: the kernel, the Rust toolchain (read-only), and, to spare downloads
# and for machines behind a proxy, the downloaded crates, the name servers, the certificates that were
# added by hand, and the settings of apt, pip and cargo that name proxies. Needs root and debootstrap.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
user=dev

make() {
  debootstrap --variant=minbase --include=sudo bookworm "$root" ${BARE_MIRROR:+"$BARE_MIRROR"} >&2
  chroot "$root" useradd --create-home --shell /bin/bash "$user"
  echo "$user ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$user"
  mkdir -p "$root"/opt/{rustup,cargo,checkout} "$root/old"
  touch "$root/made"
}

# What is this machine's, not Debian's.
settings() {
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  echo "127.0.0.1 localhost bare" >"$root/etc/hosts"
  mkdir -p "$root/usr/local/share/ca-certificates"
  cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
  grep -lisE 'proxy|acquire::check' /etc/apt/apt.conf.d/* | xargs -r cp -t "$root/etc/apt/apt.conf.d"
  [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
  for home in root "home/$user"; do
    mkdir -p "$root/$home/.cargo/registry"
    cp -a "$cargo"/registry/{index,cache} "$root/$home/.cargo/registry/" 2>/dev/null || true
    cp "$cargo/config.toml" "$root/$home/.cargo/" 2>/dev/null || true
  done
  # Fresh checkouts, of what is committed.
  rm -rf "$root"/{root,home/$user,opt/checkout}/spk
  git clone -q "$here" "$root/opt/checkout/spk"
  cp -a "$root/opt/checkout/spk" "$root/root/spk"
  cp -a "$root/opt/checkout/spk" "$root/home/$user/spk"
  chroot "$root" chown -R "$user:$user" "/home/$user"
}

# From here on in namespaces of our own: mounts, then the change of root.
enter() {
  hostname bare
  mount --bind "$root" "$root"
  cd "$root"
  mount -t proc proc proc
  mount --rbind /sys sys
  mount -t tmpfs -o mode=755 dev dev
  mkdir dev/pts dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
  mount -t tmpfs -o mode=1777 shm dev/shm
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
  # No /dev/fuse: tests/setup.sh has to see to that.
  for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r name major minor <<<"$node"
    mknod -m 666 "dev/$name" c "$major" "$minor"
  done
  mount -t tmpfs -o mode=1777 tmp tmp
  mount --bind "$rustup" opt/rustup
  mount -o remount,bind,ro opt/rustup
  mount --bind "$cargo/bin" opt/cargo
  mount -o remount,bind,ro opt/cargo
  pivot_root . old
  cd /
  umount -l /old
}

# A command as $1 (root or user) in its checkout, with a login's environment and the proxies'.
as() {
  local who=$1 home=/root
  shift
  local -a run=()
  local checkout
  if [ "$who" = user ]; then
    home=/home/$user
    run=(setpriv --reuid="$user" --regid="$user" --init-groups)
  fi
  checkout=$home
  if [ "${BARE_SHARE-}" ]; then
    checkout=/root
    chmod 711 /root
    chown -R "$([ "$who" = user ] && echo "$user" || echo root)" /root/spk /root/.cargo
  fi
  (cd "$checkout/spk" && env -i "${passed[@]}" HOME="$home" CARGO_HOME="$checkout/.cargo" USER="$who" LANG=C.UTF-8 TERM=dumb \
    RUSTUP_HOME=/opt/rustup PATH=/opt/cargo:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    "${run[@]}" "$@")
}

# Everything that was asked for; one line each to the summary.
commands() {
  local status=0 what who round begin log done
  for who in $whos; do
    for what in $whats; do
      for round in $rounds; do
        log=/var/log/bare-$what-$who-$round.log
        begin=$SECONDS
        done=ok
        case $what in
        demo) as "$who" tests/demo.sh --check >"$log" 2>&1 || done=FAILED ;;
        all) as "$who" tests/all.sh >"$log" 2>&1 || done=FAILED ;;
        apps)
          { as "$who" tests/demo.sh --check && as "$who" tests/apps/all.sh ${BARE_APPS-}; } >"$log" 2>&1 || done=FAILED
          ;;
        esac
        [ $done = ok ] || status=1
        printf '%-5s %-5s %s: %s in %s s%s\n' "$what" "$who" "$round" $done $((SECONDS - begin)) \
          "$(counts "$log")" | tee -a /var/log/bare-summary
      done
    done
  done
  return $status
}

counts() {
  local passed skipped
  passed=$(grep -hoE '^test .* \.\.\. ok$' "$1" | wc -l)
  skipped=$(sed -n 's/^skipped tests: //p' "$1")
  [ "$passed" = 0 ] || printf ', %s tests passed, %s skipped' "$passed" "$skipped"
  sed -n 's/^apps: /, /p' "$1" | tr -d '\n'
}

if [ "${BARE_INSIDE-}" = "" ]; then
  [ "$(id -u)" = 0 ] || { echo "bare: needs root" >&2; exit 1; }
  root=$(realpath -m "${1:?a directory}")
  cargo=${CARGO_HOME:-$HOME/.cargo}
  rustup=${RUSTUP_HOME:-$HOME/.rustup}
  [ -e "$root/made" ] || make
  case " $* " in *" again "*) ;; *) settings ;; esac
  export BARE_INSIDE=1 root cargo rustup
  shift
  exec unshare --mount --propagation private --pid --fork --kill-child --uts --ipc -- bash "$here/tests/bare.sh" "$@"
fi

enter
mapfile -t passed < <(env | grep -E '^([a-zA-Z]+_proxy|[A-Z]+_PROXY|SSL_CERT_[A-Z]+|CURL_CA_BUNDLE|PIP_CERT)=' || true)
whats="demo all" whos="root user" rounds="1 2"
for arg in "$@"; do
  case $arg in
  demo | all | apps) whats=$arg ;;
  root | user) whos=$arg ;;
  first) rounds=1 ;;
  again) rounds=2 ;;
  shell) as root bash || true; exit ;;
  *) echo "bare: what is $arg?" >&2; exit 2 ;;
  esac
done
commands
