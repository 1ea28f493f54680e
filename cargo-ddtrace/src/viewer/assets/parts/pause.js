/** The button that holds the page still, and says whether it is. */

import * as stream from "../data/stream.js";
import { el, fill, set } from "../page/dom.js";
import { icon } from "../page/icons.js";

export function pauseButton() {
  const node = el("button", { class: "button pause", type: "button", onclick: () => stream.setPaused(!stream.view().paused) });
  const show = () => {
    const { state, paused } = stream.view();
    set(node, { "aria-pressed": paused ? "true" : "false", title: paused ? "Go on (Space)" : "Hold the page still (Space)" });
    fill(node, icon(paused ? "play" : "pause"), state === "lost" ? "Offline" : paused ? "Paused" : "Live");
  };
  show();
  return { node, stop: stream.on("state", show) };
}
