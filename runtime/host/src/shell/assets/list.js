// The first view: packages and grains.
import { backup, get, listen, post } from "./api.js";
import { Dialog, Prompt, Trouble } from "./dialog.js";
import { ago, bytes, date, grouped } from "./format.js";
import { DropZone, Progress, UploadButton, useUploads } from "./upload.js";
import { html, useCallback, useEffect, useMemo, useRef, useState } from "./view.js";

// Grains shown at once; the rest follows when the first are on the screen.
const FIRST = 40;
const MORE = 250;

const STATES = {
  running: "running",
  stopped: "stopped",
  elsewhere: "running in another process",
  busy: "busy",
};

function matches(words, texts) {
  const text = texts.filter(Boolean).join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

export function ListView() {
  const [state, setState] = useState(null);
  const [query, setQuery] = useState("");
  const [failure, setFailure] = useState(null);
  const [notice, setNotice] = useState(null);
  const [away, setAway] = useState(null);
  const [dialog, setDialog] = useState(null);
  const [busy, setBusy] = useState(() => new Set());
  const search = useRef(null);

  const refresh = useCallback(async () => {
    try {
      setState(await get("/api/state"));
      setAway(null);
    } catch (failure) {
      setAway(failure);
    }
  }, []);
  const fail = useCallback((failure) => {
    setFailure(failure);
    setNotice(null);
  }, []);
  useRefresh(refresh, setAway, fail);
  useEffect(() => {
    refresh();
    document.title = "spk: grains";
  }, []);
  useEffect(() => {
    const key = (event) => {
      if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
        event.preventDefault();
        search.current?.focus();
      }
    };
    window.addEventListener("keydown", key);
    return () => window.removeEventListener("keydown", key);
  }, []);

  // Does something with a grain or package; its buttons rest meanwhile.
  const act = useCallback(async (id, work) => {
    setBusy((busy) => new Set(busy).add(id));
    try {
      await work();
      setFailure(null);
    } catch (failure) {
      fail(failure);
    }
    setBusy((busy) => {
      const rest = new Set(busy);
      rest.delete(id);
      return rest;
    });
    refresh();
  }, []);
  const taken = useCallback((taken) => {
    const what = taken.kind === "package" ? "Package" : "Grain";
    const notes = taken.notes?.length ? ` Not restored as it was: ${taken.notes.join("; ")}.` : "";
    setFailure(null);
    setNotice({
      text: `${what} “${taken.title}” was ${taken.kind === "package" ? "added" : "restored"}.${notes}`,
      open: taken.kind === "grain" ? taken.id : null,
    });
    refresh();
  }, []);
  const { current, add } = useUploads(taken, fail);

  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const packages = useMemo(
    () => (state?.packages ?? [])
      .filter((p) => matches(words, [p.title, p.id, p.appId, p.marketingVersion, p.description]))
      .sort((a, b) => (a.title ?? "").localeCompare(b.title ?? "") || b.version - a.version),
    [state, query],
  );
  const grains = useMemo(
    () => (state?.grains ?? [])
      .filter((g) => matches(words, [g.title, g.app, g.id, g.appId, STATES[g.state]]))
      .sort((a, b) => b.primary - a.primary || (b.lastUsed ?? 0) - (a.lastUsed ?? 0)),
    [state, query],
  );
  const created = async (pkg, action) => {
    await act(pkg.id, async () => {
      const { id } = await post("/api/grains", { package: pkg.id, action: action?.index });
      location.assign(`/grain/${id}`);
    });
  };
  const actions = {
    rename: (grain) => setDialog({ kind: "rename", grain }),
    remove: (grain) =>
      act(grain.id, async () => {
        const deleted = await post(`/api/grains/${grain.id}/delete`);
        setNotice({ text: `“${deleted.title}” was deleted.`, undo: grain.id });
      }),
    stop: (grain) => act(grain.id, () => post(`/api/grains/${grain.id}/stop`)),
    upgrade: (grain) =>
      act(grain.id, async () => {
        const { version } = await post(`/api/grains/${grain.id}/upgrade`, { package: grain.upgrade.package });
        setNotice({ text: `“${grain.title}” runs version ${version} from now on. A backup was made before.` });
      }),
    backup: (grain) =>
      act(grain.id, async () => {
        const made = await backup(grain.id);
        setNotice({ text: `${made.name} (${bytes(made.size)}) was made.` });
      }),
  };
  const undo = () =>
    act(notice.undo, async () => {
      await post(`/api/grains/${notice.undo}/undelete`);
      setNotice({ text: "The grain is back." });
    });
  // Whoever has no mouse goes on where the button was that went away.
  useEffect(() => {
    if (notice && document.activeElement === document.body) {
      document.getElementById(notice.undo ? "undo" : "grains")?.focus();
    }
  }, [notice, state]);

  return html`<div class="page">
    <a class="skip" href="#grains">Skip to the grains</a>
    <header>
      <h1>spk</h1>
      <label class="search"><span class="sr">Search packages and grains</span>
        <input ref=${search} type="search" placeholder="Search (press /)" value=${query}
          onInput=${(event) => setQuery(event.target.value)} />
      </label>
      <${UploadButton} onFiles=${add} />
    </header>
    <main>
      <${Trouble} failure=${away} />
      <${Trouble} failure=${failure} onClose=${() => setFailure(null)} />
      <div class="notices" role="status">
        ${notice && html`<div class="notice">
          <p>${notice.text}</p>
          ${notice.undo && html`<button type="button" id="undo" onClick=${undo}>Undo</button>`}
          ${notice.open && html`<a class="button" href=${`/grain/${notice.open}`}>Open</a>`}
          <button type="button" onClick=${() => setNotice(null)} aria-label="Close this message">✕</button>
        </div>`}
      </div>
      <${Progress} current=${current} />
      <section aria-labelledby="packages">
        <h2 id="packages">Packages</h2>
        ${state && packages.length === 0 && html`<p class="empty">${
          query ? "No package matches." : "No packages yet. Upload an .spk file, or drop it anywhere on this page."}</p>`}
        <ul class="cards">${packages.map((pkg) => html`<${Package} key=${pkg.id} pkg=${pkg}
          busy=${busy.has(pkg.id)} onNew=${created} />`)}</ul>
      </section>
      <section aria-labelledby="grains">
        <h2 id="grains" tabindex="-1">Grains ${state && html`<span class="count">${grains.length}</span>`}</h2>
        ${!state && !away && html`<p class="empty">Loading…</p>`}
        ${state && grains.length === 0 && html`<p class="empty">${
          query ? "No grain matches." : "No grains yet. Make one with a package's button, or upload a backup."}</p>`}
        <${Grains} grains=${grains} busy=${busy} actions=${actions} />
      </section>
    </main>
    <footer>spk ${state?.spk ?? ""} · everything here can be done with <code>spk grain</code>, too ·
      ${" "}<a href="/assets/vendor/LICENSES.txt">licences</a></footer>
    <${DropZone} onFiles=${add} />
    ${dialog?.kind === "rename" && html`<${Prompt} title="Rename the grain" label="Title" action="Rename"
      value=${dialog.grain.title} onClose=${() => setDialog(null)}
      onDone=${(title) => {
        setDialog(null);
        act(dialog.grain.id, () => post(`/api/grains/${dialog.grain.id}/rename`, { title }));
      }} />`}
  </div>`;
}

// Asks again when something happened, at most a few times a second.
function useRefresh(refresh, setAway, fail) {
  useEffect(() => {
    let waiting = null;
    const soon = () => {
      waiting ??= setTimeout(() => {
        waiting = null;
        refresh();
      }, 150);
    };
    const stop = listen((event) => {
      if (event.type === "changed" || event.type === "hello") soon();
      if (event.type === "problem") fail(new Error(event.text));
      if (event.type === "away" || event.type === "ended") {
        setAway(event.refused ?? new Error("spk has ended, or is being started again. This page goes on when it is back."));
      }
      if (event.type === "hello") setAway(null);
    });
    // Other processes tell nobody.
    window.addEventListener("focus", soon);
    return () => {
      stop();
      clearTimeout(waiting);
      window.removeEventListener("focus", soon);
    };
  }, []);
}

function Icon({ pkg }) {
  const letter = [...(pkg.title || "?")][0];
  return pkg.icon
    ? html`<img class="icon" src=${pkg.icon} alt="" width="48" height="48" />`
    : html`<span class="icon letter" aria-hidden="true">${letter}</span>`;
}

function Author({ author }) {
  switch (author?.state) {
    case "verified":
      return html`<span title="the author's PGP signature is good">✓ PGP <code>${grouped(author.fingerprint)}</code></span>`;
    case "bad":
      return html`<span class="bad">PGP signature: ${author.reason}</span>`;
    case "checking":
      return html`<span>checking the author's signature…</span>`;
    default:
      return html`<span>author not signed</span>`;
  }
}

function Package({ pkg, busy, onNew }) {
  if (pkg.problem) {
    return html`<li class="card"><p class="bad">${pkg.id}: ${pkg.problem}</p></li>`;
  }
  const actions = pkg.actions.length > 0 ? pkg.actions : [{ index: undefined, noun: "grain" }];
  return html`<li class="card">
    <${Icon} pkg=${pkg} />
    <div class="about">
      <h3>${pkg.title || "(no title)"}</h3>
      <p class="small">version ${pkg.marketingVersion || pkg.version} (${pkg.version}) · ${bytes(pkg.size)} unpacked</p>
      ${pkg.description && html`<p class="small">${pkg.description}</p>`}
      <p class="small author"><${Author} author=${pkg.author} /></p>
      <div class="buttons">${actions.map((action) => html`<button type="button" key=${action.index} disabled=${busy}
        title=${action.description} onClick=${() => onNew(pkg, action)}>New ${action.noun}<span class="sr"> with ${pkg.title}</span></button>`)}</div>
    </div>
  </li>`;
}

function Grains({ grains, busy, actions }) {
  const [shown, setShown] = useState(FIRST);
  useEffect(() => {
    if (grains.length === 0) return undefined;
    // For who measures.
    if (shown === FIRST) performance.mark("grains-first");
    if (shown >= grains.length) {
      performance.mark("grains-all");
      return undefined;
    }
    // After what there is was painted.
    const later = window.requestIdleCallback ?? setTimeout;
    const cancel = window.cancelIdleCallback ?? clearTimeout;
    const handle = later(() => setShown(shown + MORE));
    return () => cancel(handle);
  }, [shown, grains.length]);
  return html`<ul class="grains">${grains.slice(0, shown).map((grain) => html`<${Grain} key=${grain.id}
    grain=${grain} busy=${busy.has(grain.id)} actions=${actions} />`)}</ul>`;
}

function Grain({ grain, busy, actions }) {
  if (grain.problem) {
    return html`<li class="grain"><p class="bad">${grain.id}: ${grain.problem}</p></li>`;
  }
  const named = html`<span class="sr"> ${grain.title}</span>`;
  // Not disabled meanwhile: that would take the focus away from who has no mouse.
  const button = (label, action) => html`<button type="button" aria-disabled=${busy ? "true" : undefined}
    onClick=${() => busy || action(grain)}>${label}${named}</button>`;
  const openable = !grain.unpackaged && grain.state !== "elsewhere";
  return html`<li class="grain">
    <div class="name">
      ${openable ? html`<a href=${`/grain/${grain.id}`}>${grain.title || "(no title)"}</a>` : html`<span>${grain.title}</span>`}
      ${grain.developed && html`<span class="badge">in development</span>`}
      <p class="small">${grain.app ?? "app not installed"} · version ${grain.version} ·
        ${" "}<span title=${date(grain.lastUsed)}>used ${ago(grain.lastUsed)}</span> · ${bytes(grain.size)}</p>
    </div>
    <span class=${`state ${grain.state}`}>${STATES[grain.state]}</span>
    <div class="buttons">
      ${(grain.state === "running" || grain.state === "elsewhere") && button("Stop", actions.stop)}
      ${grain.upgrade && button(grain.upgrade.version > grain.version ? `Upgrade to ${grain.upgrade.version}` : "Switch to the newest build", actions.upgrade)}
      ${button("Rename", actions.rename)}
      ${button("Backup", actions.backup)}
      ${!grain.developed && button("Delete", actions.remove)}
    </div>
  </li>`;
}
