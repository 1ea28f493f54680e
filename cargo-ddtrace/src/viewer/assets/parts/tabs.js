/** Tabs: arrows move between them, the panel is named by its tab. */

import { el, fill, set } from "../page/dom.js";

let instances = 0;

/**
 * @param {{label: string, tabs: {id: string, title: string, count?: number, draw: () => import("../page/dom.js").Child}[], chosen?: string, onChoose?: (id: string) => void}} options
 */
export function tabs(options) {
  const prefix = `t${++instances}-`;
  const panel = el("div", { class: "tab-panel scroll", role: "tabpanel", tabindex: 0, id: `${prefix}panel` });
  const buttons = options.tabs.map((tab) => el("button", {
    type: "button", role: "tab", id: prefix + tab.id, "aria-controls": `${prefix}panel`, "data-tab": tab.id,
    onclick: () => choose(tab.id, true),
  }, tab.title, tab.count ? el("span", { class: "n" }, String(tab.count)) : null));
  const bar = el("div", { class: "tabs", role: "tablist", "aria-label": options.label, onkeydown: (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const index = options.tabs.findIndex((tab) => tab.id === chosen);
    const next = (index + step + options.tabs.length) % options.tabs.length;
    choose(options.tabs[next].id, true);
    buttons[next].focus();
    event.preventDefault();
    event.stopPropagation();
  } }, buttons);
  let chosen = "";

  function choose(id, byUser = false) {
    const index = Math.max(0, options.tabs.findIndex((tab) => tab.id === id));
    chosen = options.tabs[index].id;
    buttons.forEach((button, place) => set(button, { "aria-selected": place === index ? "true" : "false", tabindex: place === index ? 0 : -1 }));
    set(panel, { "aria-labelledby": prefix + chosen });
    panel.scrollTop = 0;
    fill(panel, options.tabs[index].draw());
    if (byUser) options.onChoose?.(chosen);
  }

  choose(options.chosen ?? options.tabs[0].id);
  return { nodes: [bar, panel], choose };
}
