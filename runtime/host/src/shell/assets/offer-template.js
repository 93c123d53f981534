// Shows an offer template within an app's page: the app frames us and cannot read us.
const { text, button, color } = JSON.parse(sessionStorage.getItem(`offerTemplate${location.hash.slice(1)}`) ?? "{}");
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
