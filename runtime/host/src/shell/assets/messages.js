// What the app's page asks of the page around it, by `postMessage` (http-bridge specification, 7.13,
// 7.14). Only the frame's own window is listened to, only from the session's origin, and answers go
// to that origin only.
import { post } from "./api.js";
import { html, useEffect, useRef, useState } from "./view.js";
import { Powerbox } from "./powerbox.js";

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
        renderTemplate(message.renderTemplate, id, session, enabled).then(reply);
      } else if (message.powerboxRequest) {
        const { rpcId, query, saveLabel } = message.powerboxRequest;
        if (!enabled) reply({ rpcId, error: "there is no powerbox for visitors of a share link" });
        else setRequest({ rpcId, query: Array.isArray(query) ? query : [], saveLabel });
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

// Puts a token into the template where only our own page can read it; the app gets an address to
// frame.
async function renderTemplate(asked, id, session, enabled) {
  const { rpcId, template } = asked;
  if (typeof template !== "string" || !enabled) return { rpcId, error: "no template" };
  try {
    const { roleId } = asked.roleAssignment ?? {};
    const body = { user: session.user, petname: asked.petname, role: roleId };
    const token = await post(`/api/grains/${id}/token`, body);
    const text = template
      .replaceAll("$API_TOKEN", token.token)
      .replaceAll("$API_HOST", token.host)
      .replaceAll("$GRAIN_TITLE_SLUG", token.slug);
    const key = crypto.randomUUID();
    const color = asked.style?.color;
    sessionStorage.setItem(`offerTemplate${key}`, JSON.stringify({ text, button: asked.clipboardButton, color }));
    return { rpcId, uri: `${location.origin}/offer-template.html#${key}` };
  } catch (failure) {
    return { rpcId, error: failure.message };
  }
}
