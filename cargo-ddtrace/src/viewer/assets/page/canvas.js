/** What canvases need to know of the theme, as style sheets do not reach them. */

import { SLOTS } from "../data/colours.js";

let probe = null;
/**
 * Colours as the canvas needs them: what a custom property resolves to in the theme of the moment.
 * @param {string[]} properties names such as `--s0`
 */
export function resolve(properties) {
  if (!probe) {
    probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  return properties.map((name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  });
}

/** All service colours of the theme of the moment. */
export function palette() {
  return resolve(Array.from({ length: SLOTS }, (_, slot) => `--s${slot}`));
}

/** Calls when colours change, by the switch or by the system; canvases draw again. */
export function onTheme(listener) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  addEventListener("ddtrace:theme", listener);
  system.addEventListener("change", listener);
  return () => {
    removeEventListener("ddtrace:theme", listener);
    system.removeEventListener("change", listener);
  };
}
