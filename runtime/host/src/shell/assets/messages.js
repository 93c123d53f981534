// What the app's page asks of the page around it, by `postMessage` (http-bridge §7.13, §7.14). Only
// the frame's own window is listened to, only from the session's origin, and answers go to that
// origin only.
import { Powerbox } from "./powerbox.js";
import { renderTemplate } from "./template.js";
import { html, useEffect, useRef, useState } from "./view.js";

export function useMessages({ frame, id, session, name, setTitle, setPath, startSharing, enabled }) {
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
        else if (!Array.isArray(query) || !query.every((descriptor) => typeof descriptor === "string")) {
          reply({ rpcId, error: "powerboxRequest: the query is a list of packed descriptors in base64" });
        } else setRequest({ rpcId, query, label: saveLabel?.defaultText?.toString().slice(0, 200) });
      } else {
        console.warn("the app sent a message that nobody understands", Object.keys(message));
      }
    };
    window.addEventListener("message", listen);
    return () => window.removeEventListener("message", listen);
  }, [session, setPath, enabled]);
  useEffect(() => {
    subscribed.current = [];
    setRequest(null);
  }, [session]);
  useEffect(() => {
    for (const rpcId of subscribed.current) reply({ rpcId, grainTitle: name });
  }, [name]);

  const done = (answer) => {
    reply({ rpcId: request.rpcId, ...answer });
    setRequest(null);
  };
  return request && html`<${Powerbox} id=${id} session=${session} request=${request} onDone=${done} />`;
}
