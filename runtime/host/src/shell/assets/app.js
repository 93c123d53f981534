// Which view the address names.
import { html, render } from "./view.js";
import { moves } from "./key.js";
import { GrainView } from "./grain.js";
import { ListView } from "./list.js";

const leaving = moves();
const root = document.getElementById("app");
const [, kind, id] = location.pathname.split("/");
if (leaving) {
  // Nothing is shown of a page that goes to another site.
} else if (kind === "grain" || kind === "shared") {
  render(html`<${GrainView} key=${id} id=${id} shared=${kind === "shared"} />`, root);
} else {
  render(html`<${ListView} />`, root);
}
