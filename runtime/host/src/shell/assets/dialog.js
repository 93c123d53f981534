// Dialogs: the browser's own, which keep the focus and close with Escape.
import { html, useEffect, useRef, useState } from "./view.js";

let next = 0;

export function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  const [id] = useState(() => `dialog-${(next += 1)}`);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${dialog} aria-labelledby=${id} onCancel=${cancel}>
    <h2 id=${id}>${title}</h2>
    ${children}
  </dialog>`;
}

// Asks for a line of text.
export function Prompt({ title, label, value, action, onDone, onClose }) {
  const [text, setText] = useState(value);
  const submit = (event) => {
    event.preventDefault();
    if (text.trim()) onDone(text.trim());
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form onSubmit=${submit}>
      <label>${label}
        <input type="text" value=${text} maxlength="1000" required autofocus
          onInput=${(event) => setText(event.target.value)} />
      </label>
      <div class="buttons">
        <button type="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class="main">${action}</button>
      </div>
    </form>
  <//>`;
}

// An error, where the person looks.
export function Trouble({ failure, onClose }) {
  if (!failure) return null;
  return html`<div class="trouble" role="alert">
    <div><p>${failure.message}</p>${failure.hint && html`<p class="hint">${failure.hint}</p>`}</div>
    ${onClose && html`<button type="button" onClick=${onClose} aria-label="Close this message">✕</button>`}
  </div>`;
}
