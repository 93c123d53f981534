#!/usr/bin/env bash
# Builds what is installed elsewhere: spk-VERSION-ARCH.tar.gz and spk_VERSION_ARCH.deb, both in
# target/dist (or the directory that is given). The same sources and toolchain give the same bytes.
#
#   dist/build.sh [--bins DIR] [OUTPUT]
#
# --bins takes spk and sandstorm-http-bridge that are built already, such as those of a test run.
# Needs cargo and python3, and dpkg-deb for the .deb.
set -euo pipefail
bins=
if [ "${1-}" = --bins ]; then bins=$(realpath "$2"); shift 2; fi
[ -z "${1-}" ] || { mkdir -p "$1"; out=$(realpath "$1"); }
cd "$(dirname "$0")/.."
out=${out-$PWD/target/dist}
mkdir -p "$out"

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
host=$(rustc -vV | sed -n 's/^host: //p')
case ${host%%-*} in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=${host%%-*} ;; esac
# Who distributes a package answers for it: named as Debian's own tools want it (debchange(1)).
authors=$(sed -n 's/^authors = \["\(.*\)"\]/\1/p' Cargo.toml)
maintainer=$authors
[ -z "${DEBEMAIL-}" ] || maintainer="${DEBFULLNAME:-${authors% <*}} <$DEBEMAIL>"
# Nothing that is built knows when.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

if [ -z "$bins" ]; then
  cargo build --release --locked -p spk-cli -p spk-bridge --bins
  bins=${CARGO_TARGET_DIR:-target}/$host/release
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
root=$work/root
install -D -m 755 "$bins/spk" "$root/usr/bin/spk"
install -D -m 755 "$bins/sandstorm-http-bridge" "$root/usr/lib/spk/sandstorm-http-bridge"
spk=$root/usr/bin/spk

# Made from the program.
mkdir -p "$root/usr/share/man/man1" "$root/usr/share/bash-completion/completions" \
  "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d"
"$spk" generate man "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1
"$spk" completions bash >"$root/usr/share/bash-completion/completions/spk"
"$spk" completions zsh >"$root/usr/share/zsh/vendor-completions/_spk"
"$spk" completions fish >"$root/usr/share/fish/vendor_completions.d/spk.fish"

install -D -m 644 dist/apparmor "$root/usr/share/spk/apparmor"
doc=$root/usr/share/doc/spk
install -D -m 644 dist/copyright "$doc/copyright"
cp -r docs README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md "$doc/"
printf 'spk (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' \
  "$version" "$maintainer" "$(LC_ALL=C date -Rud "@$SOURCE_DATE_EPOCH")" |
  gzip -9n >"$doc/changelog.gz"
# On purpose, says dist/build.sh: they run in an empty root. Static and position-independent, which
# lintian takes for a shared library.
mkdir -p "$root/usr/share/lintian/overrides"
for tag in statically-linked-binary shared-library-lacks-prerequisites; do
  printf "spk: $tag [%s]\n" usr/bin/spk usr/lib/spk/sandstorm-http-bridge
done >"$root/usr/share/lintian/overrides/spk"
# Whose work is in the programs, and under which licences.
dist/notices.py --check
install -m 644 dist/third-party.txt "$doc/third-party.txt"
find "$root" -type f -exec chmod u=rwX,go=rX {} +
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

tar=$out/spk-$version-$arch.tar.gz
tar -C "$root/usr" --transform "s|^\.|spk-$version|" --sort=name --owner=0 --group=0 --numeric-owner \
  --format=gnu -cf - . | gzip -9n >"$tar"
echo "$tar"

if ! command -v dpkg-deb >/dev/null; then
  echo "dist: no dpkg-deb here, so no .deb was made" >&2
  exit 0
fi
mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: spk
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Section: devel
Priority: optional
Recommends: python3, curl
Suggests: fuse3, nodejs, php-cli, apparmor
Description: build, check and run Sandstorm app packages without root
 Runs a web app live on a file system that records which files it uses, makes a
 signed .spk package of exactly those, and runs packages in a sandbox, as an
 ordinary user and without a server.
CONTROL
install -m 755 dist/postinst dist/prerm "$root/DEBIAN/"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
deb=$out/spk_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$deb" >/dev/null
echo "$deb"
