#!/usr/bin/env bash
# Runs the sandbox's own tests on another kernel, in a small virtual machine: an older kernel without
# the newer mount calls, or one whose cgroups of version 2 have all their controllers.
#
#   tests/vm.sh linux-image-5.10.0-32-cloud-amd64_5.10.223-1_amd64.deb [FILTER…]
#
# The argument is a kernel package of Debian (any that is not installed will do: it is only unpacked).
# Needs qemu-system-x86, busybox-static and e2fsprogs.
set -euo pipefail
deb=$(realpath "$1")
shift
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dpkg -x "$deb" "$work/kernel"
kernel=$(echo "$work"/kernel/boot/vmlinuz-*)
modules=$(echo "$work"/kernel/lib/modules/*)

# Another build of the test program can be given.
program=${SANDBOX_TESTS:-$(cargo test -p spk-sandbox --test sandbox --no-run --message-format=json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*\/sandbox-[^"]*\)".*/\1/p' | tail -1)}

# The machine's disk: the test program, the tools it calls and what those load.
root=$work/root
mkdir -p "$root"/{bin,dev,etc,home,lib,lib64,proc,run,sys,tmp,usr,var/tmp}
chmod 1777 "$root/tmp"
cp "$program" "$root/sandbox"
cp "$(command -v busybox)" "$root/bin/busybox"
for tool in sh cat ls mkdir mount umount sleep poweroff sync; do ln -s busybox "$root/bin/$tool"; done
for tool in chown unshare setpriv mount; do
  rm -f "$root/bin/$tool"
  cp "$(command -v $tool)" "$root/bin/$tool"
  ldd "$(command -v $tool)" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -Ln "$library" "$root$library"
  done
done
printf 'root:x:0:0::/:/bin/sh\nspk-test:x:1001:1001::/home:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nspk-test:x:1001:\n' >"$root/etc/group"
cat >"$root/init" <<INIT
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
chmod 666 /dev/fuse 2>/dev/null || busybox chmod 666 /dev/fuse
echo "kernel: \$(cat /proc/sys/kernel/osrelease)"
cd / && ./sandbox $*
echo "vm: status \$?"
sync
busybox poweroff -f
INIT
chmod 755 "$root/init"
truncate -s 1G "$work/disk"
mke2fs -q -t ext4 -d "$root" -E root_owner=0:0 "$work/disk"

# What reaches that disk.
early=$work/early
mkdir -p "$early"/{bin,dev,proc,root,m}
cp "$(command -v busybox)" "$early/bin/busybox"
order="virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk fuse"
for module in $order; do
  find "$modules" -name "$module.ko*" -exec cp {} "$early/m/" \;
done
cat >"$early/init" <<INIT
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in $order; do
  [ ! -e /m/\$module.ko ] || /bin/busybox insmod /m/\$module.ko
done
while [ ! -e /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /init
INIT
ln -s bin/busybox "$early/busybox" 2>/dev/null || true
chmod 755 "$early/init"
ln -s /bin/busybox "$early/bin/sh"
(cd "$early" && find . | busybox cpio -o -H newc | gzip -1) >"$work/initrd"

# Emulated: slower, but the same on every machine (KVM inside a virtual machine often half works).
log=$work/log
qemu-system-x86_64 -accel tcg -cpu max -m 2G -smp 2 -nographic -no-reboot -nic none \
  -kernel "$kernel" -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1 oops=panic" \
  -drive "file=$work/disk,format=raw,if=virtio" | tr -d '\r' | tee "$log"
grep -q '^vm: status 0' "$log"
