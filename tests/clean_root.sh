#!/usr/bin/env bash
# A machine that has nothing but what is installed here: a minimal Debian made by debootstrap.
#
#   tests/clean_root.sh make DIR [--include=PACKAGES]     downloads once, keeps it as DIR.tar
#   tests/clean_root.sh run DIR USER COMMAND…             as an account of that machine
#
# As root. A command gets its own mounts and processes, and leaves none of them behind. It is no
# chroot: the kernel forbids user namespaces in those.
set -euo pipefail
action=$1 dir=$2
shift 2
case $action in
make)
  include=${1---include=}
  if [ ! -e "$dir.tar" ]; then
    # shellcheck source=/dev/null
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    rm -rf "$dir.new" && mkdir -p "$dir.new"
    debootstrap --variant=minbase "$include" "$suite" "$dir.new" >"$dir.log" 2>&1 || {
      tail -n 20 "$dir.log" >&2
      exit 1
    }
    rm -rf "$dir.new"/var/cache/apt/archives/*.deb "$dir.new"/var/lib/apt/lists/*
    tar -C "$dir.new" -cf "$dir.tar.new" .
    mv "$dir.tar.new" "$dir.tar"
    rm -rf "$dir.new"
  fi
  rm -rf "$dir" && mkdir -p "$dir"
  tar -C "$dir" -xf "$dir.tar"
  chmod 755 "$dir"
  ;;
run)
  user=$1
  shift
  export CLEAN_ROOT=$dir CLEAN_USER=$user
  # shellcheck disable=SC2016
  exec unshare --mount --pid --fork --kill-child --propagation private -- /bin/bash -euc '
    mount --bind "$CLEAN_ROOT" "$CLEAN_ROOT"
    cd "$CLEAN_ROOT"
    mount --rbind /dev dev
    mount -t proc proc proc
    mount --rbind /sys sys
    mount -t tmpfs tmpfs tmp
    chmod 1777 tmp
    mkdir -p .old
    /sbin/pivot_root . .old
    umount -l /.old
    home=$(getent passwd "$CLEAN_USER" | cut -d: -f6)
    cd "$home"
    exec setpriv --reuid="$CLEAN_USER" --regid="$CLEAN_USER" --init-groups --inh-caps=-all \
      env -i HOME="$home" USER="$CLEAN_USER" LANG=C.UTF-8 \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
  ' clean-root "$@"
  ;;
*)
  echo "clean_root: make or run, not $action" >&2
  exit 2
  ;;
esac
