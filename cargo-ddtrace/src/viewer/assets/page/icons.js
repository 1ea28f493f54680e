/** Icons, drawn on a grid of sixteen. They are decoration: the word beside them is what is read. */

import { svg } from "./dom.js";

const SHAPES = {
  traces: ["M2.5 4h8", "M5 8h8.5", "M4 12h5"],
  map: ["M4 6.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4Z", "M12 10.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4Z", "M4.5 14.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4Z", "m6 5 4 2", "m6.5 11 3.7-1.8"],
  live: ["M1.5 8.5h3l2-6 3 11 2-5h3"],
  problems: ["M8 2.2 14.5 13.5h-13Z", "M8 6.5v3.2", "M8 11.7v.1"],
  requests: ["M2 9.5 4 3h8l2 6.5v3.5H2Z", "M2 9.5h3.5l1 1.8h3l1-1.8H14"],
  search: ["M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Z", "m10.7 10.7 3.3 3.3"],
  theme: ["M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11Z", "M8 2.5v11", "M8 5l4.2-1M8 8h5.4M8 11l4.4 1"],
  keys: ["M1.5 4h13v8h-13Z", "M4 6.5h.1M6.7 6.5h.1M9.3 6.5h.1M12 6.5h.1M5 9.5h6"],
  pause: ["M5.5 3.5v9M10.5 3.5v9"],
  play: ["M5 3.2v9.6L12.5 8Z"],
  close: ["m4 4 8 8M12 4l-8 8"],
  right: ["m6 3.5 4.5 4.5L6 12.5"],
  down: ["m3.5 6 4.5 4.5L12.5 6"],
  up: ["m3.5 10 4.5-4.5 4.5 4.5"],
  copy: ["M5.5 5.5h8v8h-8Z", "M10.5 5.5v-3h-8v8h3"],
  error: ["M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z", "M8 5v3.6", "M8 10.9v.1"],
  check: ["m3 8.5 3.2 3L13 4.5"],
  back: ["M13 8H3.5M7.5 4l-4 4 4 4"],
  link: ["M9.5 3H13v3.5", "M13 3 7.5 8.5", "M11 9.5V13H3V5h3.5"],
  repeat: ["M3 7V5.5h9M10 3l2.5 2.5L10 8", "M13 9v1.5H4M6 13l-2.5-2.5L6 8"],
  spark: ["M8 1.8 9.6 6.4 14.2 8 9.6 9.6 8 14.2 6.4 9.6 1.8 8 6.4 6.4Z"],
  agent: ["M4 6.5h8v6H4Z", "M8 6.5V3.5", "M8 3.4a.9.9 0 1 0 0-1.8.9.9 0 0 0 0 1.8Z", "M6.3 9.3v.6M9.7 9.3v.6", "M2 8.5v2M14 8.5v2"],
  flask: ["M6.2 2h3.6M7 2v4.2L3.2 13.2h9.6L9 6.2V2", "M5 10h6"],
  streams: ["M1.5 4.5h5c3 0 2.5 7 5.5 7h2.5", "m12.5 9.5 2 2-2 2", "M1.5 11.5h3", "M10.5 4.5h4"],
  sliders: ["M2.5 5h6M12 5h1.5M2.5 11H4M7.5 11h6", "M10 6.6a1.6 1.6 0 1 0 0-3.2 1.6 1.6 0 0 0 0 3.2ZM5.6 12.6a1.6 1.6 0 1 0 0-3.2 1.6 1.6 0 0 0 0 3.2Z"],
};

/** @param {string} name one of `SHAPES` */
export function icon(name, extra = "") {
  return svg("svg", { class: `icon ${extra}`, viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    SHAPES[name].map((d) => svg("path", { d })));
}
