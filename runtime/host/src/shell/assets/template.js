// Offer templates: text with a token in it, which an app shows and cannot read (http-bridge §7.14).
import { post } from "./api.js";

// The same request again within this time gets the same token, in milliseconds.
const SHARED = 150_000;

// What was made, by what was asked for.
const made = new Map();

function token(id, body) {
  const key = JSON.stringify([id, body]);
  const known = made.get(key);
  if (known && performance.now() - known.at < SHARED) return known.token;
  const token = post(`/api/grains/${id}/token`, body);
  made.set(key, { token, at: performance.now() });
  token.catch(() => made.delete(key));
  return token;
}

// Puts a token into the template where only our own page can read it; the app gets an address to
// frame.
export async function renderTemplate(asked, id, session) {
  const { rpcId, template, clipboardButton, clientapp, style } = asked;
  if (typeof template !== "string") return { rpcId, error: "renderTemplate: the template is a text" };
  if (clientapp !== undefined && !/^[a-z][a-z0-9+.-]*$/i.test(clientapp)) {
    return { rpcId, error: "renderTemplate: clientapp is the name of a URL scheme" };
  }
  try {
    const { petname, roleAssignment, unauthenticated } = asked;
    const forSharing = Boolean(asked.forSharing);
    const body = { user: session.user, petname, roleAssignment, forSharing, unauthenticated };
    const { token: secret, host, slug } = await token(id, body);
    // As functions: what replaces is no pattern.
    const text = template
      .replaceAll("$API_TOKEN", () => secret)
      .replaceAll("$API_HOST", () => host)
      .replaceAll("$GRAIN_TITLE_SLUG", () => slug);
    const link = clientapp && `clientapp-${clientapp}:${location.protocol}//${host}#${secret}`;
    const key = crypto.randomUUID();
    const offer = { text, button: clipboardButton, color: style?.color, link, token: secret, host };
    sessionStorage.setItem(`offerTemplate${key}`, JSON.stringify(offer));
    return { rpcId, uri: `${location.origin}/offer-template.html#${key}` };
  } catch (failure) {
    return { rpcId, error: failure.message };
  }
}
