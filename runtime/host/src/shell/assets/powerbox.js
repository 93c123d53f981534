// The local powerbox: what an app asks for, a person chooses.
import { post } from "./api.js";
import { Dialog, Trouble } from "./dialog.js";
import { html, useEffect, useState } from "./view.js";

// How often it is asked whether the app's own chooser has an answer.
const LOOK_EVERY = 500;

const KINDS = {
  identity: "the identity of this person",
  grant: "a stand-in of spk's, for tests",
  app: "something that this app offers to others",
};

export function Powerbox({ id, session, request, onDone }) {
  const [choices, setChoices] = useState(null);
  const [chooser, setChooser] = useState(null);
  const [failure, setFailure] = useState(null);
  const ask = (more) =>
    post(`/api/grains/${id}/powerbox`, { user: session.user, query: request.query, ...more });
  useEffect(() => {
    ask({}).then((found) => setChoices(found.choices), setFailure);
  }, []);
  useEffect(() => {
    if (!chooser) return undefined;
    let timer = null;
    const look = async () => {
      try {
        const outcome = await ask({ request: chooser.request });
        if (outcome.state === "fulfilled") onDone({ token: outcome.token, descriptor: outcome.descriptor });
        else timer = setTimeout(look, LOOK_EVERY);
      } catch (failure) {
        setFailure(failure);
      }
    };
    look();
    return () => clearTimeout(timer);
  }, [chooser]);
  const choose = async ({ choice }) => {
    try {
      const answer = await ask({ choice });
      if (answer.url) setChooser(answer);
      else onDone({ token: answer.token, descriptor: answer.descriptor });
    } catch (failure) {
      setFailure(failure);
    }
  };
  const cancel = () => onDone(failure && !choices ? { error: failure.message } : { canceled: true });
  return html`<${Dialog} title="The app asks for something" onClose=${cancel}>
    <${Trouble} failure=${failure} />
    ${chooser && html`<iframe class="chooser" title="The app's own choice" src=${chooser.url}
      sandbox="allow-scripts allow-same-origin allow-forms"></iframe>`}
    ${choices && !chooser && (choices.length === 0
      ? html`<p>Nothing here fits what the app asks for.</p>`
      : html`<p>What may it have?</p><ul class="choices">${choices.map((choice) => html`<li key=${choice.title}>
          <button type="button" onClick=${() => choose(choice)}><b>${choice.title}</b><br /><span class="small">${KINDS[choice.choice.kind] ?? ""}</span></button></li>`)}</ul>`)}
    <div class="buttons"><button type="button" onClick=${cancel}>Cancel</button></div>
  <//>`;
}
