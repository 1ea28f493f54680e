/**
 * A border that can be dragged, or moved with the arrow keys. The measure is a custom property on
 * `target`, in per cent of it, and is remembered.
 */

import { el, set } from "../page/dom.js";

/**
 * @param {{target: HTMLElement, property: string, label: string, value: number, least: number, most: number, axis?: "x"|"y", fromEnd?: boolean}} options
 */
export function splitter(options) {
  const { target, property, least, most, fromEnd = false } = options;
  const key = `ddtrace.size${property}`;
  let value = options.value;
  try {
    value = Number(localStorage.getItem(key)) || value;
  } catch {
    // The value given, then.
  }
  const node = el("div", { class: `splitter ${options.axis ?? "x"}`, role: "separator", tabindex: 0, "aria-label": options.label,
    "aria-orientation": options.axis === "y" ? "horizontal" : "vertical", "aria-valuemin": least, "aria-valuemax": most });

  function apply(next) {
    value = Math.max(least, Math.min(most, next));
    target.style.setProperty(property, `${value}%`);
    set(node, { "aria-valuenow": Math.round(value) });
  }
  function keep() {
    try {
      localStorage.setItem(key, String(value));
    } catch {
      // Not kept, then.
    }
  }
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const box = target.getBoundingClientRect();
      const part = options.axis === "y" ? (moved.clientY - box.top) / box.height : (moved.clientX - box.left) / box.width;
      apply(100 * (fromEnd ? 1 - part : part));
    };
    node.addEventListener("pointermove", move);
    node.addEventListener("lostpointercapture", () => {
      node.removeEventListener("pointermove", move);
      keep();
    }, { once: true });
    event.preventDefault();
  });
  node.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowUp: -2, ArrowRight: 2, ArrowDown: 2 }[event.key];
    if (!step) return;
    apply(value + (fromEnd ? -step : step));
    keep();
    event.preventDefault();
    event.stopPropagation();
  });
  apply(value);
  return node;
}
