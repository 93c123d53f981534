#!/bin/bash
# Ten things that a newcomer tries, with nothing but what `spk --help` and the docs say, on a machine
# that has only the .deb (and what it recommends). Run by tests/tests/install.rs in a clean root.
set -euo pipefail
docs=/usr/share/doc/spk
task() { echo "== task $1"; }
# grep -q stops reading at the first match, of which what writes into the pipe would die.
has() { grep "$@" >/dev/null; }

# The URL that spk dev and spk run print; --json is for scripts, says their help.
start() {
  rm -f ready
  "$@" --json --port 0 >ready 2>said &
  server=$!
  for _ in $(seq 600); do
    [ ! -s ready ] || break
    kill -0 "$server" || { cat said >&2; return 1; }
    sleep 0.1
  done
  session=$(sed -n 's/.*"sessionUrl":"\([^"]*\)".*/\1/p' ready)
  grain=$(sed -n 's/.*"grainId":"\([^"]*\)".*/\1/p' ready)
}
stop() { kill -INT "$server"; wait "$server"; }

task "1: find out what it is, and what this machine lacks"
spk --help | has 'spk doctor'
spk doctor
test -f $docs/README.md -a -f $docs/docs/guide/README.md -a -f $docs/docs/troubleshooting.md
spk oci --help | has docs/oci.md && test -f $docs/docs/oci.md
for page in spk spk-dev spk-grain-export; do zcat /usr/share/man/man1/$page.1.gz | has '^\.SH NAME'; done

task "2: start an app from a template"
spk init --help | has 'spk init --template python'
mkdir notes && cd notes
spk init --template python
test -f app.py -a -f sandstorm-pkgdef.capnp

task "3: run it live, use it, and see what it used"
start spk dev
curl -sSf "$session" | has 'Hello, <b>Alice'
curl -sSf -o /dev/null "${session}static/style.css"
curl -sSf -o /dev/null -d text=tried "${session}notes"
stop
grep -qx opt/app/app.py sandstorm-files.list
spk files why opt/app/app.py | has read

task "4: make the package, and check it"
spk pack notes.spk
spk verify notes.spk | has '"title"'
spk check notes.spk

task "5: run the package, as somebody else"
start spk run notes.spk --user bob
curl -sSf "$session" | has 'Hello, <b>Bob'
curl -sSf -o /dev/null -d text=kept "${session}notes"
stop

task "6: find the grain again, and its log"
spk grain list | has "^$grain"
spk grain list --json | has '"state":"stopped"'
spk grain log "$grain" | has POST

task "7: back it up, delete it, restore it"
spk grain export "$grain" -o backup.zip
spk grain delete "$grain"
restored=$(spk grain restore backup.zip)
start spk grain open "$restored"
curl -sSf "$session" | has kept
stop

task "8: package an app that is there already"
mkdir ../site && cd ../site
echo '<h1>my own page</h1>' >index.html
spk init --yes
start spk dev
curl -sSf "$session" | has 'my own page'
stop
spk pack -q --fast site.spk

task "9: keep the key, use it elsewhere, complete a command with Tab"
id=$(spk listkeys | sed -n 1p)
spk getkey "$id" >copy.keyring
spk --keyring copy.keyring listkeys | has -x "$id"
COMPLETE=bash _CLAP_COMPLETE_INDEX=3 _CLAP_IFS=$'\n' _CLAP_COMPLETE_COMP_TYPE=9 \
  spk -- spk grain show '' | has "$restored"
bash -n /usr/share/bash-completion/completions/spk

task "10: understand a mistake"
cd ../notes
spk pakc notes.spk 2>said && exit 1
grep -q pack said
sed -i 's/appTitle/appTitel/' sandstorm-pkgdef.capnp
spk pack x.spk 2>said && exit 1
grep -q 'sandstorm-pkgdef.capnp:' said
grep -q 'appTitle' said
test ! -e x.spk
spk oci notes.spk -o - | tar -t | has -x oci-layout

echo "all ten tasks done"
