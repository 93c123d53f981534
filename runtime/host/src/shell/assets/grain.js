// The second view: an app in a frame of its own origin, and what a developer wants around it.
import { backup, get, listen, post } from "./api.js";
import { Developer } from "./developer.js";
import { Dialog, Trouble } from "./dialog.js";
import { bytes } from "./format.js";
import { Log } from "./log.js";
import { useMessages } from "./messages.js";
import { html, useCallback, useEffect, useRef, useState } from "./view.js";

// What the app's page may do: all that pages do, except to take the whole tab away.
const SANDBOX = "allow-scripts allow-same-origin allow-forms allow-popups "
  + "allow-popups-to-escape-sandbox allow-downloads allow-modals";

// The address says who looks at what, so that tabs are independent and survive a reload.
function fromAddress() {
  const query = new URLSearchParams(location.search);
  const path = location.hash.startsWith("#/") ? location.hash.slice(1) : "/";
  const role = query.get("role");
  return {
    user: query.get("user"),
    role: role === null ? null : Number(role),
    permissions: query.has("permissions") ? query.get("permissions").split(",").filter(Boolean) : null,
    path,
  };
}

function toAddress({ user, role, permissions }, path) {
  const query = new URLSearchParams(user === null ? {} : { user });
  if (role !== null) query.set("role", role);
  else if (permissions !== null) query.set("permissions", permissions.join(","));
  const search = query.size > 0 ? `?${query}` : location.pathname;
  history.replaceState(null, "", `${search}${path && path !== "/" ? `#${path}` : ""}`);
}

export function GrainView({ id, shared }) {
  const [ask, setAsk] = useState(fromAddress);
  const [session, setSession] = useState(null);
  const [failure, setFailure] = useState(null);
  const [starting, setStarting] = useState(true);
  const [title, setTitle] = useState(null);
  const [panel, setPanel] = useState(null);
  const [dialog, setDialog] = useState(null);
  const [state, setState] = useState(null);
  const [busy, setBusy] = useState(null);
  const [ended, setEnded] = useState(null);
  const [round, setRound] = useState(0);
  const [notice, setNotice] = useState("");
  const frame = useRef(null);

  // A session for who is asked for.
  useEffect(() => {
    let stale = false;
    setStarting(true);
    setFailure(null);
    const { user, role, permissions } = ask;
    // Who is not named is whom spk was started for, or, with a link, a visitor.
    const body = { user: user ?? undefined, role: role ?? undefined, permissions: permissions ?? undefined };
    post(shared ? `/api/shared/${id}` : `/api/grains/${id}/session`, body).then(
      (session) => {
        if (stale) return;
        setSession({ ...session, path: ask.path });
        setStarting(false);
      },
      (failure) => {
        if (stale) return;
        setSession(null);
        setStarting(false);
        setFailure(failure);
      },
    );
    return () => {
      stale = true;
    };
  }, [ask, round]);

  const refresh = useCallback(() => {
    if (!shared) get("/api/state").then(setState, () => {});
  }, []);
  useEffect(() => {
    refresh();
    if (shared) return undefined;
    return listen((event) => {
      if (event.type === "changed" || event.type === "hello") refresh();
      if (event.type === "ended") setEnded(event.summary);
      if (event.refused) setFailure(event.refused);
      else if (event.type === "away") setEnded((ended) => ended ?? []);
      if (event.type !== "hello") return;
      setEnded(null);
      setFailure((failure) => (failure?.status === 403 ? null : failure));
    });
  }, []);
  const grain = state?.grains.find((grain) => grain.id === id);
  const developed = grain?.developed ?? false;
  const name = grain?.title ?? session?.title ?? "";
  useEffect(() => {
    document.title = title ? `${title} · ${name}` : name || "spk";
  }, [title, name]);
  useEffect(() => {
    if (developed && panel === null && window.innerWidth >= 900) setPanel("developer");
  }, [developed]);

  const setPath = useCallback((path) => toAddress(ask, path), [ask]);
  const opened = useMessages({
    frame, id, session, name, setTitle, setPath,
    startSharing: () => setDialog("share"),
    enabled: !shared,
  });

  const change = (change) => {
    const next = { ...ask, ...change, path: "/" };
    setTitle(null);
    toAddress(next, "/");
    setAsk(next);
  };
  const act = async (what, work) => {
    setBusy(what);
    try {
      setNotice((await work()) ?? "");
      setFailure(null);
    } catch (failure) {
      setFailure(failure);
    }
    setBusy(null);
  };
  const restart = () =>
    act("restart", async () => {
      await post(`/api/grains/${id}/restart`);
      setRound(round + 1);
      return "The app was started again.";
    });
  const save = () =>
    act("backup", async () => {
      const made = await backup(id);
      return `${made.name} (${bytes(made.size)}) was made.`;
    });
  const toggle = (name) => setPanel(panel === name ? "none" : name);
  const user = ask.user ?? session?.user ?? "";
  const users = session?.users ?? state?.users ?? ["alice", "bob", "carol", "dave", "eve", "anonymous"];

  return html`<div class="grain-view">
    <header class="bar">
      ${!shared && html`<a class="button" href="/" aria-label="All grains">☰<span class="wide"> All grains</span></a>`}
      <h1><span id="grain-title">${name || "…"}</span>${title && html`<span class="page-title" id="page-title">${title}</span>`}</h1>
      <label><span class="sr">User</span>
        <select id="user" value=${user} onChange=${(event) => change({ user: event.target.value, role: null, permissions: null })}>
          ${(users.includes(user) ? users : [...users, user]).map((user) => html`<option key=${user} value=${user}>${user}</option>`)}
        </select>
      </label>
      ${session?.share && html`<span class="badge">shared: ${session.share}</span>`}
      ${!shared && session && html`<${Roles} session=${session} ask=${ask} onChange=${change} />`}
      ${!shared && html`<div class="buttons">
        <button type="button" id="share" onClick=${() => setDialog("share")} disabled=${!session}>Share…</button>
        <button type="button" id="backup" onClick=${save} disabled=${busy !== null}>${busy === "backup" ? "Making it…" : "Download backup"}</button>
        <button type="button" id="restart" onClick=${restart} disabled=${busy !== null}>${busy === "restart" ? "Restarting…" : "Restart app"}</button>
        ${session && html`<a class="button" id="own-tab" href=${session.origin + "/"} target="_blank" rel="noopener">Own tab</a>`}
        <button type="button" id="log" aria-expanded=${panel === "log"} onClick=${() => toggle("log")}>Log</button>
        <button type="button" id="activity" aria-expanded=${panel === "developer"} onClick=${() => toggle("developer")}>${developed ? "Development" : "Activity"}</button>
      </div>`}
      ${!shared && session && html`<${Usage} id=${id} />`}
    </header>
    <div class="notices" role="status">${notice && html`<div class="notice"><p>${notice}</p>
      <button type="button" onClick=${() => setNotice("")} aria-label="Close this message">✕</button></div>`}</div>
    ${ended && html`<div class="trouble" role="alert"><div><p>spk has ended.</p>
      ${ended.map((line) => html`<p class="hint" key=${line}>${line}</p>`)}</div></div>`}
    <${Trouble} failure=${failure} />
    <main class="split">
      <div class="app">
        ${starting && html`<p class="starting" role="status">Starting the app…</p>`}
        ${!starting && !session && html`<p class="starting">
          <button type="button" class="main" onClick=${() => setRound(round + 1)}>Try again</button></p>`}
        ${session && html`<iframe ref=${frame} key=${`${session.origin} ${round}`} id="app-frame" sandbox=${SANDBOX}
          allow="clipboard-write" title=${`The app: ${name}`} src=${session.origin + session.path}></iframe>`}
      </div>
      ${panel === "log" && html`<${Log} id=${id} key=${round} />`}
      ${panel === "developer" && html`<${Developer} id=${id} developed=${developed} onRestart=${restart} />`}
    </main>
    ${dialog === "share" && html`<${Share} id=${id} session=${session} onClose=${() => setDialog(null)} />`}
    ${opened}
  </div>`;
}

// Where the permissions of a session come from.
const WHY = {
  owner: { short: "owner", long: "the grain is theirs: they have every permission" },
  commandLine: { short: "command line", long: "--role and --permissions say so" },
  share: { short: "shared", long: "what was shared with them by `spk grain share`" },
  default: { short: "not shared", long: "what the app gives whom nobody shared with" },
  chosen: { short: "chosen here", long: "chosen on this page, in place of what they have" },
};

function Roles({ session, ask, onChange }) {
  if (session.roles.length === 0 && session.permissions.length === 0) return null;
  const held = session.permissions.filter((permission) => permission.held).map((p) => p.name);
  const tick = (name, on) => {
    const permissions = on ? [...held, name] : held.filter((other) => other !== name);
    onChange({ role: null, permissions });
  };
  const chosen = session.why === "chosen";
  const value = session.role ?? (held.length === session.permissions.length ? "all" : "some");
  const choose = (value) => {
    if (value === "all") onChange({ role: null, permissions: session.permissions.map((p) => p.name) });
    else if (value === "own") onChange({ role: null, permissions: null });
    else if (value !== "some") onChange({ role: Number(value), permissions: null });
  };
  return html`<label><span class="sr">Role</span>
      <select id="role" value=${String(value)} onChange=${(event) => choose(event.target.value)}>
        ${session.roles.map((role) => html`<option key=${role.index} value=${String(role.index)}>${role.title}</option>`)}
        <option value="all">all permissions</option>
        ${value === "some" && html`<option value="some">chosen permissions</option>`}
        ${chosen && html`<option value="own">what ${session.user} has</option>`}
      </select>
    </label>
    <span class="badge" id="why" title=${WHY[session.why].long}>${WHY[session.why].short}</span>
    ${session.permissions.length > 0 && html`<details class="permissions"><summary>Permissions</summary>
      <fieldset><legend class="sr">Permissions</legend>${session.permissions.map((permission) => html`<label key=${permission.name}>
        <input type="checkbox" name=${permission.name} checked=${permission.held}
          onChange=${(event) => tick(permission.name, event.target.checked)} /> ${permission.title}</label>`)}
      </fieldset></details>`}`;
}

function Share({ id, session, onClose }) {
  const [role, setRole] = useState("");
  const [url, setUrl] = useState("");
  const [failure, setFailure] = useState(null);
  const make = async (event) => {
    event.preventDefault();
    try {
      const body = role === "" ? {} : { role: Number(role) };
      setUrl((await post(`/api/grains/${id}/share`, body)).url);
    } catch (failure) {
      setFailure(failure);
    }
  };
  const copy = () => navigator.clipboard?.writeText(url).catch(() => {});
  return html`<${Dialog} title="Share by link" onClose=${onClose}>
    <form onSubmit=${make}>
      <p>Whoever has the link can look at this grain, as any of the test users, until spk ends.
        Open it in a private window to be somebody without an account.</p>
      <label>Role
        <select id="share-role" value=${role} onChange=${(event) => setRole(event.target.value)}>
          <option value="">${session?.roles.some((r) => r.default) ? "the app's default" : "all permissions"}</option>
          ${session?.roles.map((role) => html`<option key=${role.index} value=${String(role.index)}>${role.title}${role.verb && ` (${role.verb})`}</option>`)}
        </select>
      </label>
      <${Trouble} failure=${failure} />
      ${url && html`<label>Link
        <input id="share-url" type="text" readonly value=${url} onFocus=${(event) => event.target.select()} /></label>`}
      <div class="buttons">
        <button type="button" onClick=${onClose}>Close</button>
        ${url && html`<button type="button" onClick=${copy}>Copy</button>`}
        <button type="submit" class="main" id="make-link">Make a link</button>
      </div>
    </form>
  <//>`;
}

// What the grain uses, looked at while the page is seen.
function Usage({ id }) {
  const [usage, setUsage] = useState(null);
  useEffect(() => {
    let stopped = false;
    let before = null;
    const look = async () => {
      if (document.visibilityState === "visible") {
        try {
          const now = { ...(await get(`/api/grains/${id}/usage`)), at: performance.now() };
          const cpu = before && now.cpuMs >= before.cpuMs
            ? (100 * (now.cpuMs - before.cpuMs)) / (now.at - before.at) : null;
          before = now;
          if (!stopped) setUsage({ ...now, cpu });
        } catch {
          // The list and the frame say it.
        }
      }
      if (!stopped) timer = setTimeout(look, 3000);
    };
    let timer = setTimeout(look, 500);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [id]);
  if (!usage) return null;
  return html`<p class="usage small" id="usage">${usage.processes === 0 ? "not running" : html`
    <span title="memory of all its processes">${bytes(usage.memory)}</span> ·
    ${usage.cpu !== null && html`${" "}<span title="processor">${Math.round(usage.cpu)} %</span> ·`}
    ${" "}${usage.processes} ${usage.processes === 1 ? "process" : "processes"}`} · ${bytes(usage.disk)} on disk</p>`;
}
