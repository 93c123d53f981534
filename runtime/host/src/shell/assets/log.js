// The grain's log, as it grows. What the app prints is text: colours are understood, everything
// else of its escape codes is left out.
import { listen } from "./api.js";
import { html, useEffect, useMemo, useRef, useState } from "./view.js";

// Lines kept: more makes the page slow; `spk grain log` has all.
const LINES = 5000;
const ESCAPES = /\x1b(?:\[([0-9;]*)m|\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_]?)/g;
// What is not seen but acts is shown as what it is: the rule of `printable` in spk/files.
const ACTING = /(?!\t)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const shown = (c) => `\\u{${c.codePointAt(0).toString(16)}}`;
const COLORS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

// A line as pieces of text with a class.
export function colored(line) {
  const found = [];
  let end = 0;
  let style = "";
  const add = (text) => {
    if (text) found.push({ text: text.replace(ACTING, shown), style });
  };
  for (const match of line.matchAll(ESCAPES)) {
    add(line.slice(end, match.index));
    end = match.index + match[0].length;
    if (match[1] === undefined) continue;
    for (const code of match[1].split(";").map(Number)) {
      if (code === 0 || code === 39) style = "";
      else if (code === 1) style += " bold";
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) {
        style = `ansi-${COLORS[code % 10]}`;
      }
    }
  }
  add(line.slice(end));
  return found;
}

function kind(line) {
  if (line.startsWith("** spk:")) return "ours";
  if (/\b(error|exception|traceback|panic|fatal|critical)\b/i.test(line)) return "error";
  if (/\bwarn(ing)?\b/i.test(line)) return "warning";
  return "";
}

export function Log({ id }) {
  const [lines, setLines] = useState([]);
  const [query, setQuery] = useState("");
  const [problem, setProblem] = useState("");
  const [follow, setFollow] = useState(true);
  const box = useRef(null);
  useEffect(() => {
    let number = 0;
    let open = "";
    let waiting = [];
    let timer = null;
    const flush = () => {
      timer = null;
      const [more, last] = [waiting, open];
      waiting = [];
      const unfinished = last ? [{ number: "open", text: last, open: true }] : [];
      setLines((lines) => [...lines.filter((line) => !line.open), ...more, ...unfinished].slice(-LINES));
    };
    const stop = listen((event) => {
      if (event.type === "away") setProblem("spk does not answer");
      if (event.type !== "log") return;
      if (event.begin) {
        [open, waiting] = ["", []];
        setLines([]);
        setProblem("");
        return;
      }
      const parts = (open + event.text).split("\n");
      open = parts.pop();
      for (const text of parts) waiting.push({ number: (number += 1), text });
      timer ??= setTimeout(flush, 50);
    }, { log: id });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [id]);
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, follow]);
  const shown = useMemo(() => {
    const wanted = query.toLowerCase();
    return wanted ? lines.filter((line) => line.text.toLowerCase().includes(wanted)) : lines;
  }, [lines, query]);
  const scrolled = ({ target }) => setFollow(target.scrollTop + target.clientHeight >= target.scrollHeight - 20);
  return html`<aside class="panel" aria-labelledby="log-title">
    <div class="panel-head"><h2 id="log-title">Log</h2>
      <label class="search"><span class="sr">Search the log</span>
        <input id="log-search" type="search" placeholder="Search the log" value=${query} onInput=${(event) => setQuery(event.target.value)} /></label>
      <span class="small" role="status">${query ? `${shown.length} of ${lines.length} lines` : `${lines.length} lines`}</span>
    </div>
    ${problem && html`<p class="bad">${problem}</p>`}
    <div class="log" id="log-lines" ref=${box} onScroll=${scrolled} tabindex="0" role="log" aria-label="The app's output" aria-live="off">
      ${shown.map((line) => html`<div key=${line.number} class=${kind(line.text)}>${
        colored(line.text).map((part) => part.style ? html`<span class=${part.style}>${part.text}</span>` : part.text)}</div>`)}
    </div>
  </aside>`;
}
