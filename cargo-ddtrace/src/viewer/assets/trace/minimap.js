/** The whole trace in a strip: one line per row, the part in sight marked, dragging zooms. */

import { slotOf } from "../data/colours.js";
import { duration } from "../data/format.js";
import { onTheme, palette, resolve } from "../page/canvas.js";
import { el, style } from "../page/dom.js";
import { dragRange } from "../parts/range.js";
import { FLAG } from "./model.js";

const HEIGHT = 56;

/** @param {(from: number, to: number) => void} onZoom instants within the trace, in ns */
export function minimap(trace, state, onZoom) {
  const canvas = /** @type {HTMLCanvasElement} */ (el("canvas", { role: "img", "aria-label": `Overview of ${trace.n} spans over ${duration(trace.total)}` }));
  const before = el("div", { class: "outside" });
  const after = el("div", { class: "outside" });
  const chosen = el("div", { class: "chosen", hidden: true });
  const node = el("div", { class: "minimap" }, canvas, before, after, chosen);

  function draw() {
    const width = node.clientWidth;
    if (width === 0) return;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(HEIGHT * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const colours = palette();
    const [wrong] = resolve(["--error"]);
    const step = Math.min(5, (HEIGHT - 6) / trace.n);
    const thick = Math.max(1, Math.min(3, step * 0.75));
    const slots = new Map();
    for (let row = 0; row < trace.n; row++) {
      const service = trace.service[row];
      if (!slots.has(service)) slots.set(service, colours[slotOf(trace.text("service", row))]);
      context.fillStyle = trace.flags[row] & FLAG.error ? wrong : slots.get(service);
      const x = (trace.offset[row] / trace.total) * width;
      context.fillRect(x, 3 + row * step, Math.max(1, ((trace.end[row] - trace.offset[row]) / trace.total) * width), thick);
    }
    mark();
  }

  function mark() {
    style(before, { left: 0, width: `${(100 * state.from) / trace.total}%` });
    style(after, { right: 0, width: `${100 - (100 * state.to) / trace.total}%` });
  }

  dragRange(node, chosen, (from, to) => onZoom(from * trace.total, to * trace.total));
  node.addEventListener("dblclick", () => onZoom(0, trace.total));

  const watcher = new ResizeObserver(draw);
  watcher.observe(node);
  const stop = onTheme(draw);
  return { node, mark, draw, close() { watcher.disconnect(); stop(); } };
}
