// Requests to spk. Errors are `Failure`s with words for people.
import { key, refused } from "./key.js";

const headers = () => ({ "X-Spk-Csrf": key() });

export class Failure extends Error {
  constructor(text, hint, status) {
    super(text);
    this.hint = hint;
    this.status = status;
  }
}

const GONE = "spk does not answer: has it ended?";

async function failure(response) {
  if (response.status === 403) refused();
  try {
    const { error, hint } = await response.json();
    return new Failure(error, hint, response.status);
  } catch {
    return new Failure(`spk answered with status ${response.status}`);
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(GONE);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

export async function get(path) {
  return (await ask(path, { headers: headers() })).json();
}

export async function post(path, body = {}) {
  const options = {
    method: "POST",
    headers: { ...headers(), "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  return (await ask(path, options)).json();
}

// JSON values, one to a line, as they arrive, until the signal or the server ends them.
async function* values(path, signal) {
  const response = await ask(path, { headers: headers(), signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}

// Uploads a file; `progress` is told the part that is sent, from 0 to 1.
export function upload(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/upload?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("X-Spk-Csrf", key());
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    };
    request.onerror = () => reject(new Failure(GONE));
    request.onload = () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // Said below.
      }
      if (request.status === 200) resolve(answer);
      else reject(new Failure(answer.error ?? `spk answered with status ${request.status}`, answer.hint));
    };
    request.send(file);
  });
}

// Makes a backup and has the browser save it.
export async function backup(id) {
  const made = await post(`/api/grains/${id}/backup`);
  const link = document.createElement("a");
  link.href = made.url;
  link.download = made.name;
  document.body.append(link);
  link.click();
  link.remove();
  return made;
}

// Everything that comes by itself comes over one connection: browsers open six to a host, for all
// tabs together, and tabs that nobody sees have none.
const listeners = new Set();
let connection = null;
let address = null;

function wanted() {
  const query = new URLSearchParams();
  for (const { log, developer } of listeners) {
    if (log) query.set("log", log);
    if (developer) query.set("developer", "1");
  }
  return `/api/events?${query}`;
}

function happened(event) {
  for (const listener of [...listeners]) listener.happened(event);
}

async function connect(path) {
  const abort = new AbortController();
  connection?.abort();
  connection = abort;
  address = path;
  while (!abort.signal.aborted) {
    try {
      for await (const event of values(path, abort.signal)) {
        if (abort.signal.aborted) return;
        happened(event);
      }
      if (!abort.signal.aborted) happened({ type: "away" });
    } catch (failure) {
      // Who answers may be another run, which wants another key. Tried again below all the same: it
      // may come with another tab.
      if (!abort.signal.aborted) happened({ type: "away", refused: failure.status === 403 ? failure : null });
    }
    if (abort.signal.aborted) return;
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

function reconsider() {
  const path = listeners.size > 0 && document.visibilityState === "visible" ? wanted() : null;
  if (path === address) return;
  if (path === null) {
    connection?.abort();
    address = null;
  } else {
    connect(path);
  }
}

document.addEventListener("visibilitychange", reconsider);

// Calls `happened` with every event from now on: "hello" when there is a connection (whatever was
// before may have changed), "away" when it is lost. `more`: what else is wanted, such as the `log`
// of a grain. Gives what ends it.
export function listen(happened, more = {}) {
  const listener = { ...more, happened };
  listeners.add(listener);
  // Several that begin or end at once make one connection.
  queueMicrotask(reconsider);
  return () => {
    listeners.delete(listener);
    queueMicrotask(reconsider);
  };
}
