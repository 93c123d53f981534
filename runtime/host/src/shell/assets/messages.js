// What the app's page asks of the page around it, by `postMessage` (http-bridge §7.13, §7.14). Only
// the frame's own window is listened to, only from the session's origin, and answers go to that
// origin only.
import { Powerbox } from "./powerbox.js";
import { renderTemplate } from "./template.js";
import { html, useEffect, useRef, useState } from "./view.js";

// Requests of one page that wait for their turn; more are answered at once.
const WAITING = 8;

const isQuery = (query) => Array.isArray(query) && query.every((descriptor) => typeof descriptor === "string");

export function useMessages({ frame, id, session, name, setTitle, setPath, startSharing, enabled }) {
  // What the app's page asked the powerbox for, the first in the dialog: what a person is about to
  // choose from does not change under the pointer.
  const waiting = useRef([]);
  const [request, setRequest] = useState(null);
  const subscribed = useRef([]);
  const latest = useRef(name);
  latest.current = name;
  const reply = (message) => frame.current?.contentWindow?.postMessage(message, session.origin);

  useEffect(() => {
    if (!session) return undefined;
    const listen = (event) => {
      if (event.source !== frame.current?.contentWindow || event.origin !== session.origin) return;
      const message = event.data;
      if (typeof message !== "object" || message === null) return;
      if (typeof message.setPath === "string") {
        if (message.setPath === "" || message.setPath.startsWith("/")) setPath(message.setPath);
      } else if (typeof message.setTitle === "string") {
        setTitle(message.setTitle.slice(0, 500));
      } else if ("startSharing" in message || "showConnectionGraph" in message) {
        if (enabled) startSharing();
      } else if (message.getGrainTitle) {
        reply({ rpcId: message.rpcId, grainTitle: latest.current });
        if (message.subscribe) subscribed.current.push(message.rpcId);
      } else if (message.renderTemplate) {
        const { rpcId } = message.renderTemplate;
        if (!enabled) reply({ rpcId, error: "visitors of a share link make no tokens" });
        else renderTemplate(message.renderTemplate, id, session).then(reply);
      } else if (message.powerboxRequest) {
        const { rpcId, query, saveLabel } = message.powerboxRequest;
        if (!enabled) reply({ rpcId, error: "there is no powerbox for visitors of a share link" });
        else if (query != null && !isQuery(query)) {
          reply({ rpcId, error: "powerboxRequest: the query is a list of packed descriptors in base64" });
        } else if (waiting.current.length > WAITING) reply({ rpcId, canceled: true });
        else {
          const label = saveLabel?.defaultText?.toString().slice(0, 200);
          waiting.current.push({ key: crypto.randomUUID(), rpcId, query: query ?? [], label });
          setRequest(waiting.current[0]);
        }
      } else {
        console.warn("the app sent a message that nobody understands", Object.keys(message));
      }
    };
    window.addEventListener("message", listen);
    return () => window.removeEventListener("message", listen);
  }, [session, setPath, enabled]);
  useEffect(() => {
    subscribed.current = [];
    waiting.current = [];
    setRequest(null);
  }, [session]);
  useEffect(() => {
    for (const rpcId of subscribed.current) reply({ rpcId, grainTitle: name });
  }, [name]);

  const done = (answer) => {
    // One answer for each, also where somebody clicks twice.
    if (waiting.current[0] !== request) return;
    reply({ rpcId: request.rpcId, ...answer });
    waiting.current.shift();
    setRequest(waiting.current[0] ?? null);
  };
  return request && html`<${Powerbox} key=${request.key} id=${id} session=${session} request=${request} onDone=${done} />`;
}
