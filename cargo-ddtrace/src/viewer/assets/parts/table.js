/** A plain table: titles, rows of cells, and from which column on there are numbers. */

import { el } from "../page/dom.js";

/**
 * @param {string[]} titles
 * @param {import("../page/dom.js").Child[][]} rows
 * @param {{numbers?: number, chosen?: number}} [options] `chosen`: the row that is selected
 */
export function table(titles, rows, { numbers = Infinity, chosen = -1 } = {}) {
  const kind = (index) => (index >= numbers ? "number" : null);
  return el("table", { class: "plain-table" },
    el("thead", null, el("tr", null, titles.map((title, index) => el("th", { scope: "col", class: kind(index) }, title)))),
    el("tbody", null, rows.map((cells, row) => el("tr", { "aria-selected": row === chosen ? "true" : null },
      cells.map((content, index) => el("td", { class: kind(index) }, content))))));
}
