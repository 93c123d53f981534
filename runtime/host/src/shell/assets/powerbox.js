// The local powerbox: what an app asks for, a person chooses.
import { post } from "./api.js";
import { Dialog, Trouble } from "./dialog.js";
import { html, useEffect, useState } from "./view.js";

export function Powerbox({ id, session, request, onDone }) {
  const [choices, setChoices] = useState(null);
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    post(`/api/grains/${id}/powerbox`, { user: session.user, query: request.query }).then(
      (found) => setChoices(found.choices), setFailure,
    );
  }, []);
  const choose = async (choice) => {
    try {
      const body = { user: session.user, query: request.query, choice: choice.id };
      const { token, descriptor } = await post(`/api/grains/${id}/powerbox`, body);
      onDone({ token, descriptor });
    } catch (failure) {
      setFailure(failure);
    }
  };
  const cancel = () => onDone(failure && !choices ? { error: failure.message } : { canceled: true });
  return html`<${Dialog} title="The app asks for something" onClose=${cancel}>
    <${Trouble} failure=${failure} />
    ${choices && (choices.length === 0
      ? html`<p>Nothing here fits what the app asks for.</p>`
      : html`<p>What may it have?</p><ul class="choices">${choices.map((choice) => html`<li key=${choice.id}>
          <button type="button" onClick=${() => choose(choice)}><b>${choice.title}</b><br /><span class="small">${choice.description}</span></button></li>`)}</ul>`)}
    <div class="buttons"><button type="button" onClick=${cancel}>Cancel</button></div>
  <//>`;
}
