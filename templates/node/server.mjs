// A small notes app: Node's own HTTP server, an append-only file below /var, users from the bridge.
//
// There is no login here. Who is asking, and what they may do, is decided outside the sandbox and
// told in headers by the HTTP bridge, which nothing else can reach:
//   X-Sandstorm-Username     the name to show, percent-encoded
//   X-Sandstorm-Permissions  the names of the permissions they hold, joined by commas

import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";

const PORT = 8000; // as in the command of sandstorm-pkgdef.capnp
const DATA = process.env.NOTES_FILE ?? "/var/lib/notes/notes.jsonl"; // /var is the grain's own
const STATIC = path.join(path.dirname(fileURLToPath(import.meta.url)), "static");
const BODY_LIMIT = 64 * 1024;
const TYPES = { ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png" };

// Each line is one change: {"id":1,"author":"Alice","text":"…"} or {"delete":1}. A line that was cut
// short when the app was killed is cut off; everything before it is whole.
const notes = new Map();
let nextId = 1;

function load() {
  fs.mkdirSync(path.dirname(DATA), { recursive: true });
  const bytes = fs.existsSync(DATA) ? fs.readFileSync(DATA) : Buffer.alloc(0);
  const whole = bytes.lastIndexOf("\n") + 1;
  if (whole !== bytes.length) fs.truncateSync(DATA, whole);
  for (const line of bytes.subarray(0, whole).toString().split("\n").filter(Boolean)) {
    apply(JSON.parse(line));
  }
}

function apply(change) {
  if (change.delete !== undefined) {
    notes.delete(change.delete);
  } else {
    notes.set(change.id, change);
    nextId = Math.max(nextId, change.id + 1);
  }
}

function record(change) {
  const file = fs.openSync(DATA, "a");
  try {
    fs.writeSync(file, JSON.stringify(change) + "\n");
    fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
  apply(change);
}

const escape = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

function nameOf(request) {
  try {
    return decodeURIComponent(request.headers["x-sandstorm-username"] ?? "") || "somebody";
  } catch {
    return "somebody";
  }
}

const permissionsOf = (request) =>
  (request.headers["x-sandstorm-permissions"] ?? "").split(",").filter(Boolean);

function page(request) {
  const permissions = permissionsOf(request);
  const edit = permissions.includes("edit");
  const items = [...notes.values()].map(({ id, author, text }) => {
    const button = edit
      ? `<form method="post" action="/notes"><button name="delete" value="${id}">Delete</button></form>`
      : "";
    return `<li>${escape(text)} <small>${escape(author)}</small> ${button}</li>`;
  });
  const form = `<form method="post" action="/notes">
<label>New note <input name="text" required maxlength="1000" autofocus></label>
<button>Add</button>
</form>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Notes</title>
<link rel="stylesheet" href="/static/style.css">
<h1>Notes</h1>
<p>Hello, <b>${escape(nameOf(request))}</b>. You hold these permissions: ${escape(permissions.join(", ")) || "none"}.</p>
${edit ? form : ""}
<ul>${items.join("")}</ul>
</html>
`;
}

function reply(response, status, type, body) {
  response.writeHead(status, { "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

const plain = (response, status, text) => reply(response, status, "text/plain; charset=utf-8", text + "\n");

function sendStatic(response, name) {
  const file = path.join(STATIC, name);
  if (!file.startsWith(STATIC + path.sep) || !fs.statSync(file, { throwIfNoEntry: false })?.isFile()) {
    return plain(response, 404, "no such file");
  }
  reply(response, 200, TYPES[path.extname(file)] ?? "application/octet-stream", fs.readFileSync(file));
}

function change(request, response, body) {
  if (!permissionsOf(request).includes("edit")) return plain(response, 403, "you may not edit");
  const form = new URLSearchParams(body);
  const doomed = Number(form.get("delete"));
  if (notes.has(doomed)) {
    record({ delete: doomed });
  } else if (form.get("text")) {
    record({ id: nextId, author: nameOf(request), text: form.get("text") });
  }
  response.writeHead(303, { Location: "/", "Content-Length": 0 }).end();
}

function serve(request, response) {
  const { pathname } = new URL(request.url, "http://app");
  if (request.method === "POST" && pathname === "/notes") {
    const chunks = [];
    let size = 0;
    request.on("data", (chunk) => {
      size += chunk.length;
      if (size <= BODY_LIMIT) chunks.push(chunk);
    });
    request.on("end", () => {
      if (size > BODY_LIMIT) return plain(response, 413, "that is too long for a note");
      change(request, response, Buffer.concat(chunks).toString());
    });
  } else if (request.method !== "GET" && request.method !== "HEAD") {
    plain(response, 405, "not here");
  } else if (pathname === "/") {
    reply(response, 200, "text/html; charset=utf-8", page(request));
  } else if (pathname.startsWith("/static/")) {
    sendStatic(response, pathname.slice("/static/".length));
  } else {
    plain(response, 404, "no such page");
  }
}

load();
// 127.0.0.1 and not "localhost": there is no name service in the sandbox.
http.createServer(serve).listen(PORT, "127.0.0.1");
