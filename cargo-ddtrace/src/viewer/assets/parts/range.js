/** Dragging across something wide chooses a range of it, as two shares of one. */

import { style } from "../page/dom.js";

/** Where in `node` the pointer is, 0 to 1. */
export function share(node, event) {
  const box = node.getBoundingClientRect();
  return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
}

/**
 * @param {HTMLElement} node
 * @param {HTMLElement} chosen shows the range while it is dragged
 * @param {(from: number, to: number) => void} onRange
 */
export function dragRange(node, chosen, onRange) {
  let start = null;
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = share(node, event);
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const at = share(node, event);
    chosen.hidden = Math.abs(at - start) < 0.004;
    style(chosen, { left: `${Math.min(at, start) * 100}%`, width: `${Math.abs(at - start) * 100}%` });
  });
  node.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [from, to] = [start, share(node, event)].sort((a, b) => a - b);
    start = null;
    chosen.hidden = true;
    if (to - from >= 0.004) onRange(from, to);
  });
}
