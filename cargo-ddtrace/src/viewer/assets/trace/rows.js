/**
 * Which rows the waterfall shows, given what is folded, hidden and searched. A row is a span, or a
 * group that stands for repeated siblings. Iterative, one pass over what is visible.
 */

import { FLAG } from "./model.js";

/**
 * @typedef {object} Row
 * @property {"span"|"group"} kind
 * @property {number} row the span; for a group its first member
 * @property {number} level depth on screen, from 1
 * @property {number} place place among its siblings on screen, from 1
 * @property {number} siblings how many there are
 * @property {boolean} parent whether something can be unfolded
 * @property {boolean} open
 * @property {any} [group]
 * @property {number[]} [members] of a group, those that are shown
 */

/**
 * @typedef {object} Choice
 * @property {Set<number>} folded spans whose children are hidden
 * @property {Set<number>} opened groups shown in full, by first member
 * @property {Map<number, any>} groups members of groups, see `repeats`
 * @property {number} shortest spans below this many ns are left out
 * @property {Set<string>} hidden services that are left out
 * @property {Set<number>|null} matches rows to show, with what stands above them; null: all
 * @property {number} top the row that is shown as the root; −1: everything
 */

/** @param {Choice} choice @returns {Row[]} */
export function visibleRows(trace, choice) {
  const keep = kept(trace, choice);
  /** @type {Row[]} */
  const rows = [];
  /** Sets of siblings still to be shown, innermost last; each remembers where it is. */
  const stack = [siblings(trace, choice, keep, choice.top, 1, choice.top)];
  while (stack.length > 0) {
    const set = stack[stack.length - 1];
    if (set.next >= set.items.length) {
      stack.pop();
      continue;
    }
    const item = set.items[set.next++];
    const base = { row: item.row, level: set.level, place: set.next, siblings: set.items.length };
    if (item.members) {
      const open = choice.opened.has(item.row);
      rows.push({ kind: "group", ...base, parent: true, open, group: item.group, members: item.members });
      if (open) stack.push({ items: item.members.map((row) => ({ row })), level: set.level + 1, next: 0 });
    } else {
      const below = siblings(trace, choice, keep, item.row, set.level + 1);
      const open = below.items.length > 0 && !choice.folded.has(item.row);
      rows.push({ kind: "span", ...base, parent: below.items.length > 0, open });
      if (open) stack.push(below);
    }
  }
  return rows;
}

function siblings(trace, choice, keep, parent, level, top = -1) {
  /** @type {{row: number, group?: any, members?: number[]|null}[]} */
  const items = [];
  const seen = new Map();
  const last = parent < 0 ? trace.n : parent + trace.size[parent];
  const first = top >= 0 ? parent : parent + 1;
  for (let row = first; row < last; row += trace.size[row]) {
    if (keep && !keep[row]) continue;
    const group = top >= 0 ? undefined : choice.groups.get(row);
    if (!group) {
      items.push({ row });
    } else if (seen.has(group)) {
      seen.get(group).members.push(row);
    } else {
      const item = { row, group, members: [row] };
      seen.set(group, item);
      items.push(item);
    }
  }
  for (const item of seen.values()) {
    if (item.members.length === 1) {
      item.members = null;
    }
  }
  return { items, level, next: 0 };
}

/** Marks the rows that are shown: those that pass, and everything above them. `null`: all do. */
function kept(trace, choice) {
  if (!choice.matches && choice.hidden.size === 0 && !(choice.shortest > 0)) return null;
  const keep = new Uint8Array(trace.n);
  for (let row = trace.n - 1; row >= 0; row--) {
    const passes = (!choice.matches || choice.matches.has(row))
      && !choice.hidden.has(trace.text("service", row))
      && (trace.length[row] >= choice.shortest || (trace.flags[row] & FLAG.error) !== 0);
    if (passes) keep[row] = 1;
    if (keep[row] && trace.parent[row] >= 0) keep[trace.parent[row]] = 1;
  }
  return keep;
}
