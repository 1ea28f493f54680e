/** How numbers, times and sizes are written. Nanoseconds come in as numbers or decimal strings. */

/** @type {[number, string][]} */
const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

/** A duration with three significant digits: `82.1 ms`, `1.25 s`, `2 min 5 s`. */
export function duration(ns) {
  const value = Number(ns);
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (value < 0) return `−${duration(-value)}`;
  if (value >= 6e10) {
    const seconds = Math.round(value / 1e9);
    if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
    return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  }
  for (const [scale, unit] of UNITS) {
    if (value >= scale * 0.9995 || scale === 1) return `${significant(value / scale)} ${unit}`;
  }
  return "–";
}

/** Three significant digits without an exponent and without trailing zeros after the point. */
export function significant(value) {
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return String(Number(value.toFixed(Math.min(digits, 3))));
}

/** A count with thin grouping: `12,400`. */
export function count(value) {
  return Number(value ?? 0).toLocaleString("en-US");
}

/** `1 trace`, `1,204 traces`. */
export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${Number(value) === 1 ? one : many}`;
}

/** A rate per second: `12/s`, `0.4/s`, `3/min`. */
export function rate(perSecond) {
  if (!perSecond) return "0/s";
  if (perSecond < 0.1) return `${significant(perSecond * 60)}/min`;
  return `${significant(perSecond)}/s`;
}

/** A share of one: `0.4 %`. */
export function percent(share) {
  if (!share) return "0 %";
  return share < 0.001 ? "<0.1 %" : `${significant(share * 100)} %`;
}

/** A size: `1.2 kB`. */
export function bytes(value) {
  const size = Number(value ?? 0);
  if (size < 1000) return `${size} B`;
  if (size < 1e6) return `${significant(size / 1e3)} kB`;
  return size < 1e9 ? `${significant(size / 1e6)} MB` : `${significant(size / 1e9)} GB`;
}

/** Milliseconds since 1970 from nanoseconds given as a decimal string, without losing digits. */
export function milliseconds(ns) {
  const text = String(ns ?? "0");
  return text.length > 6 ? Number(text.slice(0, -6)) + Number(text.slice(-6)) / 1e6 : Number(text) / 1e6;
}

const two = (value) => String(value).padStart(2, "0");

/** Local time of day, `14:03:07`, with milliseconds if asked. */
export function clock(ns, precise = false) {
  const at = new Date(milliseconds(ns));
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return precise ? `${time}.${String(at.getMilliseconds()).padStart(3, "0")}` : time;
}

/** Local date and time to the millisecond, for details. */
export function moment(ns) {
  const at = new Date(milliseconds(ns));
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(ns, true)}`;
}

/** A value as a search term: in quotes unless it is a plain word. */
export function term(text) {
  return /^[\w./-]+$/.test(text) ? text : `"${text.slice(0, 300).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** How long ago, roughly: `4 s ago`. */
export function ago(ns) {
  const seconds = Math.max(0, Math.round((Date.now() - milliseconds(ns)) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}
