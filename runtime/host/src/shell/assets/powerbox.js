// The local powerbox: what an app asks for, a person chooses.
import { post } from "./api.js";
import { Dialog, Trouble } from "./dialog.js";
import { html, useEffect, useState } from "./view.js";

// How often it is asked whether the app's own chooser has an answer.
const LOOK_EVERY = 500;

const KINDS = {
  identity: "the identity of this person",
  grant: "a stand-in of spk's, for tests",
  app: "something that this grain offers to others",
  grain: "something that this other grain offers",
};

export function Powerbox({ id, session, request, onDone }) {
  const [choices, setChoices] = useState(null);
  const [chooser, setChooser] = useState(null);
  const [failure, setFailure] = useState(null);
  const ask = (more) =>
    post(`/api/grains/${id}/powerbox`, { user: session.user, query: request.query, ...more });
  const fulfilled = ({ token, descriptor }) => onDone({ token, descriptor });
  useEffect(() => {
    ask({}).then((found) => setChoices(found.choices), setFailure);
  }, []);
  useEffect(() => {
    if (!chooser) return undefined;
    let timer = null;
    let closed = false;
    const look = async () => {
      try {
        const outcome = await ask({ request: chooser.request });
        if (closed) return;
        if (outcome.state === "fulfilled") fulfilled(outcome);
        else timer = setTimeout(look, LOOK_EVERY);
      } catch (failure) {
        setFailure(failure);
      }
    };
    look();
    return () => {
      closed = true;
      clearTimeout(timer);
    };
  }, [chooser]);
  const choose = async ({ choice }) => {
    setFailure(null);
    try {
      const answer = await ask({ choice });
      if (answer.url) setChooser(answer);
      else fulfilled(answer);
    } catch (failure) {
      setFailure(failure);
    }
  };
  const cancel = () => onDone(failure && !choices ? { error: failure.message } : { canceled: true });
  return html`<${Dialog} title="The app asks for something" onClose=${cancel}>
    ${request.label && html`<p class="small">It says what for: “${request.label}”</p>`}
    <${Trouble} failure=${failure} />
    ${!choices && !failure && html`<p>Looking for what fits…</p>`}
    ${chooser && html`<iframe class="chooser" id="chooser" title="The app's own choice" src=${chooser.url}
      sandbox="allow-scripts allow-same-origin allow-forms"></iframe>`}
    ${choices && !chooser && (choices.length === 0
      ? html`<p>Nothing here fits what the app asks for. Other grains are asked while they run; objects for tests
          are there with <code>--grant</code>.</p>`
      : html`<p>What may it have?</p><ul class="choices">${choices.map((found) => html`<li key=${JSON.stringify(found.choice)}>
          <button type="button" onClick=${() => choose(found)}><b>${found.title || "(no title)"}</b>
            <br /><span class="small">${KINDS[found.choice.kind] ?? ""}</span></button></li>`)}</ul>`)}
    <div class="buttons"><button type="button" onClick=${cancel}>Cancel</button></div>
  <//>`;
}
