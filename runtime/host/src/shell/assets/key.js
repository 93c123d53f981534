// The key that opens the shell. The printed address brings it; it is kept where pages of other origins,
// and that is of other ports, too, do not get to, and leaves the address bar. The page of a grain is on
// a site of the grain's own, where its app may set cookies for all; the first page hands the key on.

const NAME = "spk-key";
const said = (name) => document.querySelector(`meta[name="${name}"]`).content;
const originOf = (address) => (address ? new URL(address).origin : location.origin);
const brought = said("spk-csrf");
const site = originOf(said("spk-site"));
const home = originOf(said("spk-home"));
// A share link's page has a key of its own, for this link.
const shared = location.pathname.startsWith("/shared/");

const query = new URLSearchParams(location.search);
const arrived = query.has("token");
query.delete("token");
if (arrived) {
  const search = query.size > 0 ? `?${query}` : location.pathname;
  history.replaceState(null, "", `${search}${location.hash}`);
}

function kept() {
  try {
    return localStorage.getItem(NAME);
  } catch {
    // A browser that keeps nothing: the key is good until the page is left.
    return null;
  }
}

function keep(key) {
  try {
    if (key) localStorage.setItem(NAME, key);
    else localStorage.removeItem(NAME);
  } catch {
    // As above.
  }
}

if (brought && !shared) keep(brought);

// Looked up each time: when spk was started again, another tab may have brought the new one.
export function key() {
  return shared ? brought : (kept() ?? brought);
}

function go(origin, key) {
  const more = new URLSearchParams(query);
  if (key) more.set("token", key);
  const search = more.size > 0 ? `?${more}` : "";
  location.replace(`${origin}${location.pathname}${search}${location.hash}`);
}

// Goes to where this page belongs, or to where the key may be; whether it does.
export function moves() {
  if (site !== location.origin && (shared || key())) go(site, shared ? null : key());
  else if (!shared && !arrived && !key() && home !== location.origin) go(home);
  else return false;
  return true;
}

// The key is none any more. The first page may have got another one meanwhile; whoever comes from there
// has been told what there is.
export function refused() {
  if (shared || arrived || home === location.origin) return;
  keep(null);
  go(home);
}
