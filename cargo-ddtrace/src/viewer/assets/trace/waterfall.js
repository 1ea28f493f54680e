/**
 * The waterfall: a tree of spans at the left, their bars at the right, in a window of rows. What is
 * folded, hidden and zoomed lives in `state`, which the page owns; `update` draws it again.
 */

import { serviceClass } from "../data/colours.js";
import { duration } from "../data/format.js";
import { el, fill, style, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as badge from "../parts/badges.js";
import { cell, grid } from "../parts/grid.js";
import { splitter } from "../parts/splitter.js";
import { FLAG } from "./model.js";
import { visibleRows } from "./rows.js";
import { ticks } from "./ticks.js";

const HEIGHT = 28;
const INDENT = 14;
const MOST_INDENT = 22;
/** More marks than this on one bar could not be told apart. */
const MOST_MARKS = 160;

/**
 * @param {object} trace as `model.read` makes it
 * @param {object} state folded, opened, groups, critical (by row), gaps (by row), from, to, found …
 * @param {{onSelect: (row: number) => void, onChange: () => void, onZoom: (from: number, to: number) => void}} events
 */
export function waterfall(trace, state, events) {
  let rows = [];
  let width = 0;
  const ruler = el("div", { class: "ruler", "aria-hidden": "true" });
  const lines = el("div");
  const list = grid({
    label: "Spans", role: "treegrid", height: HEIGHT, render,
    onActive: (index, event) => {
      const item = rows[index];
      if (event instanceof MouseEvent && event.target instanceof Element && event.target.closest(".toggle")) toggle(index);
      else if (event instanceof MouseEvent && item.kind === "group") toggle(index);
      if (item.kind === "span") events.onSelect(item.row);
    },
    onOpen: toggle,
    onKey: key,
  });
  const node = el("div", { class: "waterfall" });
  const head = el("div", { class: "waterfall-head" }, el("span", { class: "tree-title" }, "Span"), ruler);
  fill(node, head, el("div", { class: "waterfall-body" }, el("div", { class: "lines", "aria-hidden": "true" }, lines), list.node),
    el("div", { class: "waterfall-border" }, splitter({ target: node, property: "--tree", label: "Width of the tree", value: 40, least: 15, most: 75 })));

  function toggle(index) {
    const item = rows[index];
    if (!item?.parent) return;
    setOpen(item, !item.open);
  }

  function setOpen(item, open) {
    if (item.kind === "group") {
      if (open) state.opened.add(item.row);
      else state.opened.delete(item.row);
    } else if (open) {
      state.folded.delete(item.row);
    } else {
      state.folded.add(item.row);
    }
    events.onChange();
  }

  function key(event, index) {
    const item = rows[index];
    if (!item) return false;
    if (event.key === "ArrowRight") {
      if (item.parent && !item.open) setOpen(item, true);
      else if (item.open) list.activate(index + 1, { event });
      return true;
    }
    if (event.key === "ArrowLeft") {
      if (item.open) {
        setOpen(item, false);
        return true;
      }
      for (let above = index - 1; above >= 0; above--) {
        if (rows[above].level < item.level) {
          list.activate(above, { event });
          break;
        }
      }
      return true;
    }
    return false;
  }

  const position = (at) => (100 * (at - state.from)) / (state.to - state.from);

  /** Puts a piece between two instants onto a line; `null` if it is out of sight. */
  function piece(className, from, to) {
    const left = position(Math.max(from, state.from));
    const right = position(Math.min(to, state.to));
    if (right < 0 || left > 100 || to < state.from || from > state.to) return null;
    return style(el("span", { class: className }), { left: `${left}%`, width: `max(2px, ${Math.max(0, right - left)}%)` });
  }

  function marks(line, list, className) {
    const few = list.length > MOST_MARKS ? list.slice(0, MOST_MARKS) : list;
    for (const { from, to } of few) {
      const mark = piece(className, from, to);
      if (mark) line.append(mark);
    }
  }

  function label(text, from, to) {
    const left = position(from);
    const right = position(to);
    const node = el("span", { class: "bar-text" }, text);
    if (right <= 86) style(node, { left: `calc(${Math.max(0, right)}% + 6px)` });
    else if (left >= 14) style(node, { right: `calc(${100 - Math.min(100, left)}% + 6px)` });
    else {
      style(node, { right: `calc(${Math.max(0, 100 - right)}% + 6px)` });
      node.classList.add("inside");
    }
    return node;
  }

  function render(index) {
    const item = rows[index];
    return item.kind === "group" ? renderGroup(item) : renderSpan(item);
  }

  function attributes(item, className) {
    return {
      class: className, "aria-level": item.level, "aria-posinset": item.place, "aria-setsize": item.siblings,
      "aria-expanded": item.parent ? String(item.open) : null,
    };
  }

  function tree(item, ...children) {
    const indent = Math.min(MOST_INDENT, item.level - 1) * INDENT;
    return style(cell("tree",
      el("span", { class: "indent" }),
      item.parent ? el("span", { class: "toggle", "aria-hidden": "true" }, icon(item.open ? "down" : "right")) : el("span", { class: "toggle" }),
      children), { "--indent": `${indent}px` });
  }

  function renderSpan(item) {
    const { row } = item;
    const flags = trace.flags[row];
    const service = trace.text("service", row);
    const name = trace.text("name", row);
    const resource = trace.text("resource", row);
    const error = (flags & FLAG.error) !== 0;
    const entry = trace.parent[row] < 0 || trace.text("service", trace.parent[row]) !== service;
    const peer = trace.text("peer", row);
    const from = trace.offset[row];
    const to = trace.end[row];
    const line = cell("line");
    const shape = [flags & FLAG.follows ? "follows" : "", flags & FLAG.cancelled ? "torn" : "", flags & FLAG.running ? "running" : "", error ? "wrong" : ""].join(" ");
    const bar = piece(`span-bar ${shape}`, from, to);
    if (bar) {
      line.append(bar);
      marks(line, state.showGaps ? state.gaps.get(row) ?? [] : [], "gap-mark");
      if (state.critical) marks(line, state.critical.get(row) ?? [], "critical-mark");
      line.append(label(duration(trace.length[row]), from, to));
    } else {
      line.append(el("span", { class: `away ${to < state.from ? "before" : "after"}` }, to < state.from ? `◂ ${duration(trace.length[row])}` : `${duration(trace.length[row])} ▸`));
    }
    const self = trace.self_ns[row];
    const title = `${service} · ${name}\n${resource}\n${duration(trace.length[row])}, self ${duration(self)}`;
    const found = state.found?.has(row);
    const problems = trace.problems?.[row];
    return {
      attributes: { ...attributes(item, `span-row ${serviceClass(service)} ${error ? "is-error" : ""} ${found ? "found" : ""} ${state.found && !found ? "not-found" : ""}`), "data-row": row },
      cells: [
        tree(item,
          error ? el("span", { class: "mark-error", title: "error" }, icon("error"), el("span", { class: "unseen" }, "error ")) : null,
          entry ? badge.service(service) : el("span", { class: "swatch", "aria-hidden": "true" }),
          el("span", { class: "clip span-name", title }, el("span", { class: "operation" }, user(name, 200)), " ",
            resource && resource !== name ? el("span", { class: "span-resource" }, user(resource, 300)) : null),
          badge.status(trace.text("status", row)),
          peer ? el("span", { class: "peer", title: `calls ${peer}, which sends no spans itself` }, "→ ", user(peer, 60)) : null,
          flags & FLAG.orphan ? el("span", { class: "badge warn" }, "parent missing") : null,
          flags & FLAG.cancelled ? el("span", { class: "badge warn" }, "cancelled") : null,
          flags & FLAG.running ? el("span", { class: "badge" }, "still running") : null,
          flags & FLAG.follows ? el("span", { class: "badge", title: "It outlives its parent: nobody waited for it" }, "detached") : null,
          flags & FLAG.dropped ? el("span", { class: "badge error" }, "dropped by an Agent") : null,
          problems ? badge.problems(problems) : null),
        line,
      ],
    };
  }

  function renderGroup(item) {
    const { group, members } = item;
    const service = trace.text("service", item.row);
    const line = cell("line");
    const shown = members.length > MOST_MARKS * 2 ? members.filter((_, index) => index % Math.ceil(members.length / (MOST_MARKS * 2)) === 0) : members;
    for (const row of shown) {
      const bar = piece(`span-bar part ${trace.flags[row] & FLAG.error ? "wrong" : ""}`, trace.offset[row], trace.end[row]);
      if (bar) line.append(bar);
    }
    if (state.critical) for (const row of shown) marks(line, state.critical.get(row) ?? [], "critical-mark");
    line.append(label(`Σ ${duration(group.sum)}`, group.from, group.to));
    const spread = `${duration(group.least)} to ${duration(group.most)}`;
    const text = trace.text("resource", item.row) || trace.text("name", item.row);
    const found = state.found && members.some((row) => state.found.has(row));
    return {
      attributes: attributes(item, `span-row group-row ${serviceClass(service)} ${group.errors ? "is-error" : ""} ${found ? "found" : ""} ${state.found && !found ? "not-found" : ""}`),
      cells: [
        tree(item,
          group.errors ? badge.errors(group.errors) : null,
          el("span", { class: "swatch", "aria-hidden": "true" }),
          el("span", { class: "times", title: `${members.length} siblings with the same service, name and resource; ${spread} each` }, icon("repeat"), `${members.length} ×`),
          el("span", { class: "clip span-name", title: text }, el("span", { class: "operation" }, user(trace.text("name", item.row), 200)), " ", el("span", { class: "span-resource" }, user(text, 300))),
          el("span", { class: "faint small spread" }, spread)),
        line,
      ],
    };
  }

  /** Asking for sizes makes the browser lay out the page, so it is done when they have changed. */
  function measure() {
    width = ruler.clientWidth;
    style(node, { "--gutter": `${list.node.offsetWidth - list.node.clientWidth}px` });
    drawRuler();
  }

  function drawRuler() {
    const points = ticks(state.from, state.to, width > 700 ? 8 : width > 350 ? 5 : 3);
    fill(ruler, points.filter((point) => position(point) < 94).map((point) => style(el("span", null, point === 0 ? "0" : duration(point)), { left: `${position(point)}%` })));
    fill(lines, points.map((point) => style(el("i"), { left: `${position(point)}%` })));
  }

  /** Draws what `state` says. */
  function update() {
    const activeRow = rows[list.active]?.row;
    rows = visibleRows(trace, state);
    list.setCount(rows.length);
    if (activeRow !== undefined) {
      const index = indexOf(activeRow);
      if (index >= 0 && index !== list.active) list.activate(index, { quiet: true });
    }
    drawRuler();
  }

  function indexOf(row) {
    const exact = rows.findIndex((item) => item.kind === "span" && item.row === row);
    return exact >= 0 ? exact : rows.findIndex((item) => item.kind === "group" && item.members.includes(row));
  }

  /** Unfolds whatever hides a span, and goes there. */
  function reveal(row, { quiet = false } = {}) {
    if (indexOf(row) < 0 || rows[indexOf(row)].kind === "group") {
      for (let above = row; above >= 0; above = trace.parent[above]) {
        if (above !== row) state.folded.delete(above);
        const group = state.groups.get(above);
        if (group) for (const item of group.rows) state.opened.add(item);
      }
      update();
    }
    const index = indexOf(row);
    if (index >= 0) list.activate(index, { quiet, center: true });
    return index >= 0;
  }

  const watcher = new ResizeObserver(measure);
  watcher.observe(ruler);

  return {
    node, list, update, reveal,
    /** What stands in a row of the list. */
    rowAt: (index) => rows[index],
    close() {
      watcher.disconnect();
      list.close();
    },
  };
}
