// Files that are dropped or chosen: packages and backups.
import { Failure, upload } from "./api.js";
import { html, useEffect, useRef, useState } from "./view.js";

// Uploads files one after the other. `onTaken` is told what each became, `onFailure` what went wrong.
export function useUploads(onTaken, onFailure) {
  const [current, setCurrent] = useState(null);
  const queue = useRef([]);
  const busy = useRef(false);
  const add = async (files) => {
    queue.current.push(...files);
    if (busy.current) return;
    busy.current = true;
    while (queue.current.length > 0) {
      const file = queue.current.shift();
      setCurrent({ name: file.name, part: 0 });
      try {
        onTaken(await upload(file, (part) => setCurrent({ name: file.name, part })));
      } catch (failure) {
        onFailure(failure);
      }
    }
    busy.current = false;
    setCurrent(null);
  };
  return { current, add };
}

export function UploadButton({ onFiles }) {
  const input = useRef(null);
  const chosen = (event) => {
    onFiles([...event.target.files]);
    event.target.value = "";
  };
  return html`<button type="button" class="main" onClick=${() => input.current.click()}>Upload…</button>
    <input ref=${input} type="file" id="upload" class="hidden" accept=".spk,.zip" multiple tabindex="-1"
      aria-label="A package (.spk) or a backup (.zip)" onChange=${chosen} />`;
}

export function Progress({ current }) {
  if (!current) return null;
  const sent = current.part >= 1;
  return html`<div class="progress">
    <label>${sent ? "Checking" : "Uploading"} ${current.name}
      <progress value=${sent ? undefined : current.part} max="1"></progress>
    </label>
  </div>`;
}

// The whole window takes files.
export function DropZone({ onFiles }) {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const enter = (event) => {
      if (!files(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event) => {
      if (!event.relatedTarget) setOver(false);
    };
    const drop = (event) => {
      if (!files(event)) return;
      event.preventDefault();
      setOver(false);
      const dropped = [...event.dataTransfer.files];
      if (dropped.length > 0) onFiles(dropped);
      else throw new Failure("that is no file");
    };
    window.addEventListener("dragover", enter);
    window.addEventListener("dragleave", leave);
    window.addEventListener("drop", drop);
    return () => {
      window.removeEventListener("dragover", enter);
      window.removeEventListener("dragleave", leave);
      window.removeEventListener("drop", drop);
    };
  }, [onFiles]);
  return over && html`<div class="drop" aria-hidden="true">Drop packages and backups here</div>`;
}
