/**
 * Rows in a window: however many there are, only those in sight are in the document. The scroller
 * itself has the focus and names the active row (`aria-activedescendant`); rows carry their place
 * and, in a tree, their level, so that a screen reader knows where it is.
 */

import { el, set } from "../page/dom.js";

const AHEAD = 8;
let instances = 0;

/**
 * @typedef {object} Options
 * @property {string} label what the list is, for screen readers
 * @property {"grid"|"treegrid"} [role]
 * @property {number} height of a row in pixels
 * @property {(index: number) => {cells: Node[], attributes?: Record<string, unknown>}} render
 * @property {(index: number, event?: Event) => void} [onOpen] Enter, or a double click
 * @property {(index: number, event?: Event) => void} [onActive] the active row has changed
 * @property {(event: KeyboardEvent, index: number) => boolean} [onKey] true: it was dealt with
 * @property {() => void} [onEnd] the last rows came into sight
 * @property {boolean} [openOnClick]
 */

/** @param {Options} options */
export function grid(options) {
  const prefix = `g${++instances}-`;
  const sheet = el("div", { class: "sheet", role: "presentation" });
  const node = el("div", {
    class: "grid", role: options.role ?? "grid", tabindex: 0, "aria-label": options.label, "aria-rowcount": 0,
  }, sheet);
  /** @type {Map<number, HTMLElement>} */
  const shown = new Map();
  let count = 0;
  let active = -1;
  let frame = 0;

  function range() {
    const first = Math.max(0, Math.floor(node.scrollTop / options.height) - AHEAD);
    const last = Math.min(count, Math.ceil((node.scrollTop + node.clientHeight) / options.height) + AHEAD);
    return [first, last];
  }

  function make(index) {
    const { cells, attributes } = options.render(index);
    const row = el("div", {
      id: prefix + index, role: "row", "aria-rowindex": index + 1,
      "aria-selected": index === active ? "true" : "false", ...attributes,
      class: `row ${attributes?.class ?? ""} ${index === active ? "active" : ""}`,
      "data-index": index,
    }, cells);
    row.style.transform = `translateY(${index * options.height}px)`;
    return row;
  }

  function draw() {
    frame = 0;
    const [first, last] = range();
    for (const [index, row] of shown) {
      if (index < first || index >= last) {
        row.remove();
        shown.delete(index);
      }
    }
    for (let index = first; index < last; index++) {
      if (shown.has(index)) continue;
      const row = make(index);
      // The order in the document is the order on screen, for screen readers and for find-in-page.
      const after = shown.get(index + 1);
      if (after) after.before(row);
      else sheet.append(row);
      shown.set(index, row);
    }
    if (last >= count - AHEAD && count > 0) options.onEnd?.();
  }

  function schedule() {
    if (frame === 0) frame = requestAnimationFrame(draw);
  }

  /** Draws everything in sight again, at once. */
  function refresh() {
    for (const row of shown.values()) row.remove();
    shown.clear();
    draw();
    point();
  }

  function setCount(next) {
    count = next;
    sheet.style.height = `${count * options.height}px`;
    set(node, { "aria-rowcount": count });
    if (active >= count) active = count - 1;
    refresh();
  }

  function point() {
    set(node, { "aria-activedescendant": active >= 0 && shown.has(active) ? prefix + active : null });
  }

  /** Makes a row the active one and brings it into sight. */
  function activate(index, { event = undefined, quiet = false, center = false } = {}) {
    if (count === 0) return;
    const next = Math.max(0, Math.min(count - 1, index));
    const before = shown.get(active);
    if (before) {
      set(before, { "aria-selected": "false" });
      before.classList.remove("active");
    }
    active = next;
    const top = next * options.height;
    if (center || top < node.scrollTop - node.clientHeight || top > node.scrollTop + 2 * node.clientHeight) {
      if (top < node.scrollTop || top + options.height > node.scrollTop + node.clientHeight) {
        node.scrollTop = top - node.clientHeight / 2;
      }
    } else if (top < node.scrollTop) {
      node.scrollTop = top;
    } else if (top + options.height > node.scrollTop + node.clientHeight) {
      node.scrollTop = top + options.height - node.clientHeight;
    }
    draw();
    const row = shown.get(next);
    if (row) {
      set(row, { "aria-selected": "true" });
      row.classList.add("active");
    }
    point();
    if (!quiet) options.onActive?.(next, event);
  }

  function indexOf(event) {
    const row = event.target instanceof Element ? event.target.closest(".row") : null;
    return row ? Number(row.getAttribute("data-index")) : -1;
  }

  node.addEventListener("scroll", schedule, { passive: true });
  node.addEventListener("click", (event) => {
    const index = indexOf(event);
    if (index < 0) return;
    activate(index, { event });
    if (options.openOnClick && !(event.target instanceof Element && event.target.closest("button, a"))) options.onOpen?.(index, event);
  });
  node.addEventListener("dblclick", (event) => {
    const index = indexOf(event);
    if (index >= 0 && !options.openOnClick) options.onOpen?.(index, event);
  });
  node.addEventListener("focus", () => {
    if (active < 0 && count > 0) activate(Math.floor(node.scrollTop / options.height), { quiet: true });
  });
  node.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== node) return;
    if (key(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  });
  const watcher = new ResizeObserver(schedule);
  watcher.observe(node);

  /** The keys of the list; pages call it too, for keys pressed outside of it. */
  function key(event) {
    if (options.onKey?.(event, active)) return true;
    const page = Math.max(1, Math.floor(node.clientHeight / options.height) - 1);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -count, End: count };
    if (event.key in steps) {
      activate(active < 0 ? 0 : active + steps[event.key], { event });
      return true;
    }
    if (event.key === "Enter" && active >= 0) {
      options.onOpen?.(active, event);
      return true;
    }
    return false;
  }

  return {
    node, setCount, refresh, activate, key,
    get active() { return active; },
    get count() { return count; },
    forget() { active = -1; },
    /** The same keys for the whole page, so that the list need not have the focus. */
    keys: (noun, open = "Open it") => [["j", `Next ${noun}`], ["k", `Previous ${noun}`], ["Enter", open], ["ArrowDown", ""], ["ArrowUp", ""]]
      .map(([name, label]) => ({ key: name, label, run: key })),
    close() {
      watcher.disconnect();
      cancelAnimationFrame(frame);
    },
  };
}

/** A cell. @param {string} className @param {...import("../page/dom.js").Child} children */
export function cell(className, ...children) {
  return el("div", { role: "gridcell", class: className }, children);
}
