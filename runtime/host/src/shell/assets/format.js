// Numbers as people write them.

export function bytes(count) {
  if (count == null) return "…";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${count < 10 && unit > 0 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function ago(seconds) {
  const passed = seconds - Date.now() / 1000;
  for (const [unit, length] of [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(passed) >= length) return relative.format(Math.round(passed / length), unit);
  }
  return "just now";
}

export function date(seconds) {
  return new Date(seconds * 1000).toLocaleString();
}

// A fingerprint in groups of four, to be compared by eye.
export function grouped(fingerprint) {
  return fingerprint.replace(/(.{4})(?=.)/g, "$1 ");
}
