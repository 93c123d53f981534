// What happens around the app: for every grain what spk noticed, and in `spk dev` what the file
// system recorded.
import { get, listen } from "./api.js";
import { html, useEffect, useMemo, useState } from "./view.js";

// Rows of one group that are shown; the file list has all.
const ROWS = 300;

const WHY = {
  exec: "executed", read: "read", list: "listed", link: "link followed", empty: "looked at (empty file)",
  stat: "looked at", miss: "not there", withheld: "not in the package", write: "tried to write", changed: "changed since",
};

export function Developer({ id, developed, onRestart }) {
  const activity = useActivity(id);
  const { about, paths, gone } = useSession(developed);
  const [query, setQuery] = useState("");
  const groups = useMemo(() => {
    const all = [...paths.values()]
      .filter((path) => path.path.toLowerCase().includes(query.toLowerCase()))
      .sort((a, b) => b.first - a.first);
    const has = (path, ...whys) => whys.some((why) => path.why.includes(why));
    const listed = (path) => has(path, "exec", "read", "list", "link", "empty");
    return {
      fresh: all.filter((path) => path.new && listed(path)),
      known: all.filter((path) => !path.new && listed(path)),
      missing: all.filter((path) => has(path, "miss") && !listed(path)),
      withheld: all.filter((path) => has(path, "withheld")),
      writes: all.filter((path) => has(path, "write")),
      changed: all.filter((path) => has(path, "changed")),
    };
  }, [paths, query]);
  const denied = activity.denied;
  return html`<aside class="panel" aria-labelledby="developer-title" id="developer">
    <div class="panel-head"><h2 id="developer-title">${developed ? "Development" : "Activity"}</h2>
      ${developed && html`<label class="search"><span class="sr">Search paths</span>
        <input id="path-search" type="search" placeholder="Search paths" value=${query} onInput=${(event) => setQuery(event.target.value)} /></label>
        <button type="button" onClick=${onRestart}>Restart app</button>`}
    </div>
    <div class="panel-body" tabindex="0" role="region" aria-label="What was recorded">
      ${gone && html`<p class="bad">${gone}</p>`}
      ${developed && html`<p class="small" id="summary">${groups.fresh.length + groups.known.length} paths used,
        ${" "}${groups.fresh.length} of them new, go into ${about?.list ? html`<code>${about.list}</code>` : "the package"} when the session ends.
        ${" "}${about?.watch ? "The app is started again when a file changes." : ""}</p>
        <${Paths} id="changed" title="Changed since they were used" paths=${groups.changed} hint="the running app may still have the old contents: restart it" />
        <${Paths} id="new-files" title="New files" paths=${groups.fresh} hint="not in the file list before this session" open />
        <${Paths} id="writes" title="Writes outside /var" paths=${groups.writes} hint="refused: only /var and /tmp can be written" open />
        <${Paths} id="withheld" title="Here, but not in the package" paths=${groups.withheld} hint="spk dev --packed shows only what spk pack would pack" open />
        <${Paths} id="missing" title="Looked for and not there" paths=${groups.missing} hint="often harmless: programs try several places" />
        <${Paths} id="known" title="Used, and in the list already" paths=${groups.known} />`}
      ${!activity.explained && html`<p class="small">Denied system calls, and what is lost of requests and answers, are told with
        ${" "}<code>--explain</code>.</p>`}
      <${Group} id="denied" title="Denied system calls" count=${denied.length} open=${denied.length > 0}>
        <ul>${denied.map((d) => html`<li><code>${d.call}</code>${d.detail && html`${" "}<code>${d.detail}</code>`} → ${d.answer}
          ${d.program && html`${" "}<span class="by">by ${d.program}</span>`}${d.remark && html`${" "}<span class="by">(${d.remark})</span>`}</li>`)}</ul>
      <//>
      <${Group} id="lost" title="Lost between browsers and the app" count=${activity.lost.length}>
        <ul>${activity.lost.map((text) => html`<li>${text}</li>`)}</ul>
      <//>
      <${Group} id="notes" title="Notes" count=${activity.notes.length} open>
        <ul>${activity.notes.toReversed().map((note) => html`<li><span class="by">${new Date(note.time * 1000).toLocaleTimeString()}</span> ${note.text}</li>`)}</ul>
      <//>
    </div>
  </aside>`;
}

function Group({ id, title, count, open, children }) {
  return html`<details id=${id} open=${open && count > 0}><summary>${title} <span class="count">${count}</span></summary>
    ${count > 0 ? children : html`<p class="small">none</p>`}</details>`;
}

// What happened to a path, and who did it: not the app is who changed it.
function said({ why, by }) {
  const uses = why.filter((why) => why !== "changed").map((why) => WHY[why] ?? why).join(", ");
  return `${uses}${by.length > 0 ? ` by ${by.join(", ")}` : ""}${why.includes("changed") ? `; ${WHY.changed}` : ""}`;
}

function Paths({ id, title, paths, hint, open }) {
  return html`<${Group} id=${id} title=${title} count=${paths.length} open=${open}>
    ${hint && html`<p class="small">${hint}</p>`}
    <ul>${paths.slice(0, ROWS).map((path) => html`<li key=${path.path}><code>${path.path}</code>
      ${" "}<span class="by">${said(path)}</span></li>`)}</ul>
    ${paths.length > ROWS && html`<p class="small">and ${paths.length - ROWS} more</p>`}
  <//>`;
}

function useActivity(id) {
  const [activity, setActivity] = useState({ notes: [], denied: [], lost: [], explained: true });
  useEffect(() => {
    let waiting = null;
    const look = () => {
      waiting ??= setTimeout(() => {
        waiting = null;
        get(`/api/grains/${id}/activity`).then(setActivity, () => {});
      }, 100);
    };
    const stop = listen((event) => {
      if (event.type === "hello" || (event.type === "activity" && event.grain === id)) look();
    });
    return () => {
      stop();
      clearTimeout(waiting);
    };
  }, [id]);
  return activity;
}

function useSession(developed) {
  const [about, setAbout] = useState(null);
  const [paths, setPaths] = useState(() => new Map());
  const [gone, setGone] = useState("");
  useEffect(() => {
    if (!developed) return undefined;
    return listen((event) => {
      if (event.type === "away") setGone("spk does not answer");
      if (event.type !== "developer") return;
      setGone("");
      if (event.about) setAbout(event.about);
      if (event.paths) {
        setPaths((paths) => {
          const next = new Map(paths);
          for (const path of event.paths) next.set(path.path, path);
          return next;
        });
      }
    }, { developer: true });
  }, [developed]);
  return { about, paths, gone };
}
