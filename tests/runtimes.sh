# The package of tests/tests/runtimes.rs in the directory $1: this machine's programs, hard-linked.
set -eu
# One at a time: several test runs may want it.
exec 9>"$1.lock"
flock 9
if [ "$1/.complete" -nt /var/lib/dpkg/status ]; then exit 0; fi
rm -rf "$1"; mkdir -p "$1"/usr/share "$1"/dev "$1"/tmp "$1"/var "$1"/proc "$1"/etc
chmod 755 "$1"
# Copied where /usr is another file system.
linked() { cp -al "$1" "$2" 2>/dev/null || cp -a "$1" "$2"; }
for part in bin sbin lib lib64; do
    linked /usr/$part "$1"/usr/; ln -s usr/$part "$1"/$part
done
for part in perl perl5 postgresql mysql mariadb php nodejs node_modules ruby rubygems-integration java \
    zoneinfo locale; do
    if [ -e /usr/share/$part ]; then linked /usr/share/$part "$1"/usr/share/; fi
done
for part in /etc/alternatives /etc/java-*-openjdk /etc/php /etc/ld.so.cache /etc/nsswitch.conf; do
    if [ -e "$part" ]; then cp -a "$part" "$1"/etc/; fi
done
chmod -R a+rX "$1"/etc
echo 'app:x:1000:1000::/var:/bin/sh' > "$1"/etc/passwd
echo 'app:x:1000:' > "$1"/etc/group
echo '127.0.0.1 localhost' > "$1"/etc/hosts
touch "$1"/proc/cpuinfo "$1"/.complete
