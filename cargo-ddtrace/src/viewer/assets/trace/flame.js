/**
 * The icicle: width is time. In time order every span is a box under its parent (siblings that run
 * at once move to lanes of their own); left heavy merges equal paths and its widths add up self
 * times, so that children never stick out of their parent. Drawn on canvas; the boxes can be walked
 * with the arrow keys, and the box in focus is read out.
 */

import { slotOf } from "../data/colours.js";
import { duration, percent, plural } from "../data/format.js";
import { onTheme, palette, resolve } from "../page/canvas.js";
import { el, fill, set, style } from "../page/dom.js";
import { announce } from "../page/frame.js";
import { FLAG } from "./model.js";

const LANE = 22;

/**
 * @typedef {{x: number, width: number, lane: number, row: number, parent: number, count: number, time: number, error: boolean}} Box
 */

/** @returns {Box[]} in time order, parents first */
export function timeOrder(trace) {
  const ends = [];
  const boxes = [];
  for (let row = 0; row < trace.n; row++) {
    const parent = trace.parent[row];
    let lane = parent < 0 ? 0 : boxes[parent].lane + 1;
    while ((ends[lane] ?? 0) > trace.offset[row]) lane += 1;
    ends[lane] = trace.end[row];
    boxes.push({ x: trace.offset[row], width: trace.end[row] - trace.offset[row], lane, row, parent, count: 1, time: trace.length[row], error: (trace.flags[row] & FLAG.error) !== 0 });
  }
  return boxes;
}

/** @returns {Box[]} equal paths merged, heaviest first, parents first */
export function leftHeavy(trace) {
  /** @type {{key: string, row: number, parent: number, self: number, time: number, count: number, error: boolean, below: number[], width: number}[]} */
  const nodes = [];
  const known = new Map();
  const nodeOf = new Int32Array(trace.n);
  for (let row = 0; row < trace.n; row++) {
    const parent = trace.parent[row] < 0 ? -1 : nodeOf[trace.parent[row]];
    const key = `${parent},${trace.service[row]},${trace.name[row]},${trace.resource[row]}`;
    let node = known.get(key);
    if (node === undefined) {
      node = nodes.length;
      known.set(key, node);
      nodes.push({ key, row, parent, self: 0, time: 0, count: 0, error: false, below: [], width: 0 });
      if (parent >= 0) nodes[parent].below.push(node);
    }
    nodeOf[row] = node;
    nodes[node].self += Math.max(0, trace.self_ns[row]);
    nodes[node].time += trace.length[row];
    nodes[node].count += 1;
    if (trace.flags[row] & FLAG.error) nodes[node].error = true;
  }
  for (let index = nodes.length - 1; index >= 0; index--) {
    nodes[index].width += nodes[index].self;
    if (nodes[index].parent >= 0) nodes[nodes[index].parent].width += nodes[index].width;
  }
  const boxes = [];
  const roots = nodes.map((_, index) => index).filter((index) => nodes[index].parent < 0).sort((a, b) => nodes[b].width - nodes[a].width);
  const stack = [];
  let x = 0;
  for (const root of roots) {
    stack.push({ node: root, x, lane: 0, parent: -1 });
    x += nodes[root].width;
  }
  stack.reverse();
  while (stack.length > 0) {
    const { node, x: left, lane, parent } = stack.pop();
    const own = nodes[node];
    const index = boxes.push({ x: left, width: own.width, lane, row: own.row, parent, count: own.count, time: own.time, error: own.error }) - 1;
    let from = left;
    for (const child of own.below.sort((a, b) => nodes[b].width - nodes[a].width)) {
      stack.push({ node: child, x: from, lane: lane + 1, parent: index });
      from += nodes[child].width;
    }
  }
  return boxes;
}

/** @param {{onSelect: (row: number) => void, heavy: boolean, onHeavy: (heavy: boolean) => void}} events */
export function flame(trace, state, events) {
  let heavy = events.heavy;
  let boxes = [];
  let view = { from: 0, to: 1 };
  let focus = 0;
  let hover = -1;
  const canvas = /** @type {HTMLCanvasElement} */ (el("canvas", { tabindex: 0, role: "img" }));
  const tip = el("div", { class: "flame-tip", hidden: true });
  const surface = el("div", { class: "flame-surface scroll" }, canvas, tip);
  const order = el("button", { class: "button", type: "button", onclick: () => setHeavy(false) }, "Time order");
  const left = el("button", { class: "button", type: "button", onclick: () => setHeavy(true) }, "Left heavy");
  const out = el("button", { class: "button plain", type: "button", onclick: reset }, "Whole trace");
  const node = el("div", { class: "flame" },
    el("div", { class: "sub-bar" }, el("div", { class: "segments", role: "group", "aria-label": "Order" }, order, left), out,
      el("span", { class: "faint small" }, "Click zooms, double click or Esc goes back. Arrows walk through the boxes.")), surface);

  function layout() {
    boxes = heavy ? leftHeavy(trace) : timeOrder(trace);
    const end = boxes.reduce((most, box) => Math.max(most, box.x + box.width), 1);
    view = { from: 0, to: end, whole: end };
    set(order, { "aria-pressed": String(!heavy) });
    set(left, { "aria-pressed": String(heavy) });
    focus = 0;
    draw();
  }
  function setHeavy(next) {
    heavy = next;
    events.onHeavy(next);
    layout();
  }
  function reset() {
    view = { ...view, from: 0, to: view.whole };
    draw();
  }

  const scaleOf = () => surface.clientWidth / (view.to - view.from);

  function draw() {
    const width = surface.clientWidth;
    if (width === 0) return;
    const lanes = boxes.reduce((most, box) => Math.max(most, box.lane), 0) + 1;
    const height = lanes * LANE + 8;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.min(16000, Math.round(height * ratio));
    style(canvas, { height: `${height}px` });
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const colours = palette();
    const [ground, ink, wrong, accent] = resolve(["--panel", "--text", "--error", "--accent"]);
    context.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "middle";
    const scale = scaleOf();
    boxes.forEach((box, index) => {
      const x = (box.x - view.from) * scale;
      const w = box.width * scale;
      if (x > width || x + w < 0 || (w < 0.3 && index !== focus)) return;
      const from = Math.max(0, x);
      const shown = Math.max(1, Math.min(width, x + w) - from - 1);
      const y = box.lane * LANE + 4;
      const colour = colours[slotOf(trace.text("service", box.row))];
      context.fillStyle = colour;
      context.globalAlpha = 0.26;
      context.fillRect(from, y, shown, LANE - 2);
      context.globalAlpha = state.found && !state.found.has(box.row) ? 0.25 : 1;
      context.fillRect(from, y, Math.min(3, shown), LANE - 2);
      if (box.error) {
        context.fillStyle = wrong;
        context.fillRect(from, y + LANE - 4, shown, 2);
      }
      if (shown > 34) {
        context.save();
        context.beginPath();
        context.rect(from, y, shown - 4, LANE);
        context.clip();
        context.fillStyle = ink;
        const text = `${box.error ? "✖ " : ""}${box.count > 1 ? `${box.count} × ` : ""}${(trace.text("resource", box.row) || trace.text("name", box.row)).slice(0, 160)}  ${duration(box.time)}`;
        context.fillText(text, from + 8, y + LANE / 2 - 1);
        context.restore();
      }
      context.globalAlpha = 1;
      if (index === hover || (index === focus && document.activeElement === canvas)) {
        context.strokeStyle = index === hover ? ink : accent;
        context.lineWidth = 1.5;
        context.strokeRect(from + 0.75, y + 0.75, Math.max(1, shown - 1.5), LANE - 3.5);
      }
    });
    context.fillStyle = ground;
    set(canvas, { "aria-label": `Icicle of ${plural(trace.n, "span")}. ${describe(boxes[focus])}` });
  }

  function describe(box) {
    if (!box) return "";
    const parent = box.parent >= 0 ? boxes[box.parent] : null;
    return `${trace.text("service", box.row)} · ${trace.text("resource", box.row) || trace.text("name", box.row)} · ${duration(box.time)}`
      + (parent && parent.time > 0 ? ` · ${percent(box.time / parent.time)} of its parent` : "") + (box.count > 1 ? ` · ${box.count} spans` : "") + (box.error ? " · error" : "");
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    const time = view.from + (event.clientX - box.left) / scaleOf();
    const lane = Math.floor((event.clientY - box.top - 4) / LANE);
    for (let index = boxes.length - 1; index >= 0; index--) {
      const candidate = boxes[index];
      if (candidate.lane === lane && candidate.x <= time && time <= candidate.x + Math.max(candidate.width, 1 / scaleOf())) return index;
    }
    return -1;
  }

  function zoom(index) {
    const box = boxes[index];
    if (box && box.width > 0) view = { ...view, from: box.x, to: box.x + box.width };
    draw();
  }

  canvas.addEventListener("pointermove", (event) => {
    const index = at(event);
    tip.hidden = index < 0;
    if (index >= 0) {
      tip.textContent = describe(boxes[index]);
      const box = surface.getBoundingClientRect();
      const part = (event.clientX - box.left) / box.width;
      style(tip, { left: `${part * 100}%`, top: `${event.clientY - box.top + surface.scrollTop + 18}px`, translate: `${-part * 100}% 0` });
    }
    if (index !== hover) {
      hover = index;
      draw();
    }
  });
  canvas.addEventListener("pointerleave", () => { hover = -1; tip.hidden = true; draw(); });
  canvas.addEventListener("click", (event) => {
    const index = at(event);
    if (index < 0) return;
    focus = index;
    zoom(index);
    if (boxes[index].count === 1) events.onSelect(boxes[index].row);
  });
  canvas.addEventListener("dblclick", reset);
  canvas.addEventListener("focus", draw);
  canvas.addEventListener("blur", draw);
  canvas.addEventListener("keydown", (event) => {
    const own = boxes[focus];
    const beside = (step) => {
      for (let index = focus + step; index >= 0 && index < boxes.length; index += step) if (boxes[index].parent === own.parent) return index;
      return focus;
    };
    const below = () => { const index = boxes.findIndex((box) => box.parent === focus); return index < 0 ? focus : index; };
    const next = { ArrowRight: () => beside(1), ArrowLeft: () => beside(-1), ArrowUp: () => Math.max(0, own.parent), ArrowDown: below }[event.key];
    if (next) focus = next();
    else if (event.key === "Enter") {
      zoom(focus);
      if (own.count === 1) events.onSelect(own.row);
    } else if (event.key === "Escape" && (view.from > 0 || view.to < view.whole)) reset();
    else return;
    event.preventDefault();
    event.stopPropagation();
    draw();
    announce(describe(boxes[focus]));
  });

  const watcher = new ResizeObserver(draw);
  watcher.observe(surface);
  const stop = onTheme(draw);
  layout();
  return { node, update: draw, close() { watcher.disconnect(); stop(); fill(node); } };
}
