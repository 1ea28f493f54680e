/** Requests and errors over time as bars; dragging across them chooses a stretch of time. */

import { clock, plural } from "../data/format.js";
import { el, fill, set, style, svg } from "../page/dom.js";
import { dragRange, share } from "./range.js";

const WIDTH = 1000;
const HEIGHT = 44;

/** @param {(from: string, to: string) => void} onChoose called with instants in ns */
export function timeline(onChoose) {
  const bars = svg("g");
  const chart = svg("svg", { class: "bars", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, bars);
  const chosen = el("div", { class: "chosen", hidden: true });
  const tip = el("div", { class: "tip", hidden: true });
  const from = el("span");
  const to = el("span");
  const node = el("figure", { class: "timeline", role: "img", "aria-label": "Traces over time" },
    el("div", { class: "plot" }, chart, chosen, tip), el("figcaption", { "aria-hidden": "true" }, from, to));
  const plot = /** @type {HTMLElement} */ (node.firstElementChild);
  let data = null;

  const instant = (part) => {
    const span = BigInt(data.to) - BigInt(data.from);
    return String(BigInt(data.from) + (span * BigInt(Math.round(part * 1e6))) / 1000000n);
  };

  plot.addEventListener("pointermove", (event) => {
    if (!data) return;
    const at = share(plot, event);
    const index = Math.min(data.requests.length - 1, Math.floor(at * data.requests.length));
    tip.textContent = `${clock(instant(index / data.requests.length))} · ${plural(data.requests[index], "trace")}`
      + (data.errors[index] ? ` · ${plural(data.errors[index], "error")}` : "");
    tip.hidden = false;
    style(tip, { left: `${at * 100}%`, translate: `${-at * 100}% 0` });
  });
  plot.addEventListener("pointerleave", () => { tip.hidden = true; });
  dragRange(plot, chosen, (from, to) => { if (data) onChoose(instant(from), instant(to)); });

  return {
    node,
    /** @param {{from: string, to: string, requests: number[], errors: number[]}|null} next */
    show(next) {
      data = next && next.requests.length > 0 && next.from !== next.to ? next : null;
      node.hidden = !data;
      if (!data) return;
      const most = Math.max(1, ...data.requests);
      const step = WIDTH / data.requests.length;
      const path = (values) => values.map((value, index) => {
        if (!value) return "";
        const height = Math.max(2.5, (value / most) * (HEIGHT - 2));
        return `M${(index * step).toFixed(1)} ${HEIGHT}v${-height.toFixed(1)}h${Math.max(1, step - 2).toFixed(1)}v${height.toFixed(1)}z`;
      }).join("");
      fill(bars, svg("path", { class: "requests", d: path(data.requests) }), svg("path", { class: "errors", d: path(data.errors) }));
      from.textContent = clock(data.from);
      to.textContent = clock(data.to);
      const total = data.requests.reduce((a, b) => a + b, 0);
      const errors = data.errors.reduce((a, b) => a + b, 0);
      set(node, { "aria-label": `Traces over time, ${clock(data.from)} to ${clock(data.to)}: ${plural(total, "trace")}, ${errors} with errors` });
    },
  };
}
