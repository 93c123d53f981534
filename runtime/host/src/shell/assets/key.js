// The key that opens the shell. The printed address brings it; it is kept where pages of other origins,
// and that is of other ports, too, do not get to, and leaves the address bar.

const NAME = "spk-key";
const brought = document.querySelector('meta[name="spk-csrf"]').content;
// A share link's page has a key of its own, for this link.
const shared = location.pathname.startsWith("/shared/");

const query = new URLSearchParams(location.search);
if (query.has("token")) {
  query.delete("token");
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

if (brought && !shared) {
  try {
    localStorage.setItem(NAME, brought);
  } catch {
    // As above.
  }
}

// Looked up each time: when spk was started again, another tab may have brought the new one.
export function key() {
  return shared ? brought : (kept() ?? brought);
}
