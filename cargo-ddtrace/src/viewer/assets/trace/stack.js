/**
 * Stack traces: Rust's backtraces and panics (other languages' are shown as they are). Frames of
 * the user stand out; runs of frames from the standard library and dependencies fold to one line.
 */

import { el, user } from "../page/dom.js";

/** Folders that hold other people's code. */
const FOREIGN = /\/rustc\/|\/rustlib\/|\.cargo[/\\](registry|git)|\/vendor\//;
const FOREIGN_NAMES = /^(<?(std|core|alloc|tokio|hyper|hyper_util|tower|axum|futures(_\w+)?|rayon|ddtrace|ddtrace_core|backtrace|anyhow|eyre)::|__rust|rust_(begin|panic)|_start|__libc|main$)/;

/**
 * @typedef {{name: string, file: string, line: string, column: string, foreign: boolean}} Frame
 * @param {string} stack
 * @returns {Frame[]} empty if this is not a Rust backtrace
 */
export function frames(stack) {
  const found = [];
  for (const line of stack.split("\n")) {
    const call = /^\s*(\d+):\s+(?:0x[0-9a-f]+ - )?(.+)$/.exec(line);
    const place = /^\s+at (.+?):(\d+)(?::(\d+))?\s*$/.exec(line);
    if (place && found.length > 0) {
      Object.assign(found[found.length - 1], { file: place[1], line: place[2], column: place[3] ?? "" });
    } else if (call) {
      found.push({ name: call[2].trim(), file: "", line: "", column: "", foreign: false });
    }
  }
  for (const frame of found) {
    frame.foreign = FOREIGN.test(frame.file) || FOREIGN_NAMES.test(frame.name);
  }
  return found;
}

/** Which program opens a file: a scheme that the browser hands on, chosen once per browser. */
function editor() {
  try {
    return localStorage.getItem("ddtrace.editor") || "vscode";
  } catch {
    return "vscode";
  }
}

/** A place in the source; a link to the editor if the path is absolute. */
export function place(file, line, column = "") {
  const text = `${file}${line ? `:${line}` : ""}`;
  if (!/^(\/|[A-Za-z]:\\)/.test(file) || /[\n\r]/.test(file)) return el("code", null, user(text));
  const path = encodeURI(file.replaceAll("\\", "/")).replaceAll("#", "%23").replaceAll("?", "%3F");
  const scheme = /^[a-z]+$/.test(editor()) ? editor() : "vscode";
  return el("a", { href: `${scheme}://file${path.startsWith("/") ? "" : "/"}${path}:${Number(line) || 1}${column ? `:${Number(column) || 1}` : ""}`, class: "mono", title: "Open in the editor" }, user(text));
}

/** @param {string} stack */
export function stackView(stack) {
  const list = frames(stack);
  if (list.length === 0) return el("pre", { class: "stack-text" }, user(stack, 60000));
  const node = el("ol", { class: "stack" });
  for (let index = 0; index < list.length;) {
    let end = index;
    while (end < list.length && list[end].foreign) end += 1;
    if (end > index) {
      const hidden = list.slice(index, end).map((frame) => item(frame));
      node.append(el("li", { class: "folded" }, el("details", null, el("summary", null, `${end - index} ${end - index === 1 ? "frame" : "frames"} outside your code`), el("ol", { class: "stack" }, hidden))));
      index = end;
    } else {
      node.append(item(list[index]));
      index += 1;
    }
  }
  return [node, el("details", { class: "as-sent" }, el("summary", null, "As sent"), el("pre", { class: "stack-text" }, user(stack, 60000)))];
}

function item(frame) {
  return el("li", { class: frame.foreign ? "foreign" : "own" }, el("div", { class: "mono" }, user(frame.name)),
    frame.file ? el("div", { class: "small" }, place(frame.file, frame.line, frame.column)) : null);
}
