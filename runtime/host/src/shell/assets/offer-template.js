// Shows an offer template within an app's page: the app frames us and cannot read us.
const stored = sessionStorage.getItem(`offerTemplate${location.hash.slice(1)}`);
const { text, button, color, link, token, host } = JSON.parse(stored ?? "{}");

// While it is shown, its token stays good: this long, asked for this often, in milliseconds.
const GOOD = 300_000;
const EVERY = 60_000;

const shown = document.getElementById("offer");
shown.textContent = text ?? "This offer is not there any more. Reload the page around it.";
if (/^#[0-9a-f]{6}$/i.test(color ?? "")) shown.style.color = color;
const copy = document.getElementById("copy");
if (text && (button === "left" || button === "right")) {
  copy.hidden = false;
  if (button === "left") document.body.prepend(copy);
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
  });
}
if (link) {
  const open = document.getElementById("open");
  open.href = link;
  open.hidden = false;
}
if (token) {
  const headers = { Authorization: `Bearer ${token}`, "X-Sandstorm-Token-Keepalive": String(GOOD) };
  const prolong = () => fetch(`${location.protocol}//${host}/`, { headers, cache: "no-store" }).catch(() => {});
  prolong();
  setInterval(prolong, EVERY);
}
