/**
 * One trace as the page works with it. The columns of `GET /api/traces/{id}` become typed arrays;
 * rows stand depth first, a parent before its children and siblings by start, so a subtree is a run
 * of rows and no step here needs recursion (deep traces are what breaks recursive viewers).
 *
 * Everything is one pass, or one sort per set of siblings: O(n log n) at most.
 */

export const FLAG = {
  error: 1, topLevel: 2, measured: 4, links: 8, events: 16, orphan: 32,
  cancelled: 64, follows: 128, running: 256, dropped: 512,
};

/** Siblings that share service, name and resource fold from this number on. */
export const REPEATS = 5;

/** A gap is named from this share of its parent's duration on. */
export const GAP_SHARE = 0.05;

/**
 * @typedef {object} Trace
 * @property {number} n
 * @property {Int32Array} parent row or −1
 * @property {Int32Array} depth
 * @property {Int32Array} size rows in the subtree, itself included
 * @property {Float64Array} offset ns after the trace's start
 * @property {Float64Array} length ns
 * @property {Float64Array} end ns after the trace's start
 */

/** @returns {Trace & Record<string, any>} */
export function read(columns) {
  const n = columns.n;
  const parent = Int32Array.from(columns.parent);
  for (let row = 0; row < n; row++) {
    if (parent[row] >= row || parent[row] < -1) parent[row] = -1;
  }
  const depth = new Int32Array(n);
  const size = new Int32Array(n).fill(1);
  const end = new Float64Array(n);
  let total = columns.duration;
  for (let row = 0; row < n; row++) {
    if (parent[row] >= 0) depth[row] = depth[parent[row]] + 1;
    end[row] = columns.offset[row] + Math.max(0, columns.duration_ns[row]);
    if (end[row] > total) total = end[row];
  }
  for (let row = n - 1; row > 0; row--) {
    if (parent[row] >= 0) size[parent[row]] += size[row];
  }
  const text = (column, row) => columns.strings[columns[column][row]] ?? "";
  return {
    ...columns, parent, depth, size, end, total: Math.max(total, 1),
    offset: Float64Array.from(columns.offset), length: Float64Array.from(columns.duration_ns),
    text, rowOf: new Map(columns.span.map((id, row) => [id, row])),
  };
}

/** The rows below `row`, in order of start. */
export function children(trace, row) {
  const rows = [];
  const last = row < 0 ? trace.n : row + trace.size[row];
  for (let child = row + 1; child < last; child += trace.size[child]) rows.push(child);
  return rows;
}

/** The root that took longest; rows without a parent may be several while a trace is incomplete. */
export function mainRoot(trace) {
  let best = -1;
  for (let row = 0; row < trace.n; row += trace.size[row]) {
    if (best < 0 || trace.length[row] > trace.length[best]) best = row;
  }
  return best;
}

/** Whether a span began inside its parent and went on after it: detached work, which nobody waited for. */
export function isDetached(trace, row) {
  return (trace.flags[row] & FLAG.follows) !== 0;
}

/**
 * The critical path: from the end backwards through the child that finished last before the point
 * reached. The segments come out latest first, touch each other, and add up to the duration of the
 * root exactly. Detached children, and children that a clock puts past the parent's end, are not on it.
 * @returns {{row: number, from: number, to: number}[]}
 */
export function criticalPath(trace, root = mainRoot(trace)) {
  if (root < 0) return [];
  const segments = [];
  const enter = (row, from, to) => ({
    row, from, cursor: to, next: 0,
    children: children(trace, row).filter((child) => !isDetached(trace, child))
      .sort((a, b) => trace.end[b] - trace.end[a] || b - a),
  });
  const stack = [enter(root, trace.offset[root], trace.end[root])];
  while (stack.length > 0) {
    const visit = stack[stack.length - 1];
    let below = null;
    while (visit.next < visit.children.length && !below) {
      const child = visit.children[visit.next++];
      const from = Math.max(trace.offset[child], visit.from);
      if (trace.end[child] > visit.cursor || trace.end[child] <= from) continue;
      if (trace.end[child] < visit.cursor) segments.push({ row: visit.row, from: trace.end[child], to: visit.cursor });
      visit.cursor = from;
      below = enter(child, from, trace.end[child]);
    }
    if (below) {
      stack.push(below);
    } else {
      if (visit.cursor > visit.from) segments.push({ row: visit.row, from: visit.from, to: visit.cursor });
      stack.pop();
    }
  }
  return segments;
}

/** The segments of the critical path by row, so that a row can draw its own. */
export function byRow(segments) {
  const rows = new Map();
  for (const segment of segments) {
    const list = rows.get(segment.row);
    if (list) list.push(segment);
    else rows.set(segment.row, [segment]);
  }
  return rows;
}

/**
 * Stretches of a parent in which no child runs, by row; only those of 5 % of the parent and more.
 * A span without children is not one long gap: it is the leaf where the work is.
 * @returns {Map<number, {from: number, to: number}[]>}
 */
export function gaps(trace, share = GAP_SHARE) {
  const found = new Map();
  // Children come by start, so the furthest end seen so far is all that has to be remembered.
  const covered = Float64Array.from(trace.offset);
  const note = (row, from, to) => {
    if (to - from < trace.length[row] * share || to <= from) return;
    const list = found.get(row);
    if (list) list.push({ from, to });
    else found.set(row, [{ from, to }]);
  };
  for (let row = 0; row < trace.n; row++) {
    const parent = trace.parent[row];
    if (parent < 0) continue;
    note(parent, covered[parent], Math.min(trace.offset[row], trace.end[parent]));
    covered[parent] = Math.max(covered[parent], Math.min(trace.end[row], trace.end[parent]));
  }
  for (let row = 0; row < trace.n; row++) {
    if (trace.size[row] > 1) note(row, covered[row], trace.end[row]);
  }
  return found;
}

/**
 * Siblings that repeat: the same service, name and resource at least five times under one parent.
 * @returns {Map<number, {first: number, rows: number[], sum: number, least: number, most: number, errors: number}>}
 *   by each member's row
 */
export function repeats(trace, atLeast = REPEATS) {
  /** @type {Map<string, any>} */
  const groups = new Map();
  for (let row = 0; row < trace.n; row++) {
    const key = `${trace.parent[row]},${trace.service[row]},${trace.name[row]},${trace.resource[row]}`;
    let group = groups.get(key);
    if (!group) {
      group = { first: row, rows: [], sum: 0, least: Infinity, most: 0, errors: 0, from: Infinity, to: 0 };
      groups.set(key, group);
    }
    group.rows.push(row);
    group.sum += trace.length[row];
    group.least = Math.min(group.least, trace.length[row]);
    group.most = Math.max(group.most, trace.length[row]);
    group.from = Math.min(group.from, trace.offset[row]);
    group.to = Math.max(group.to, trace.end[row]);
    if (trace.flags[row] & FLAG.error) group.errors += 1;
  }
  const members = new Map();
  for (const group of groups.values()) {
    if (group.rows.length < atLeast || trace.parent[group.first] < 0) continue;
    for (const row of group.rows) members.set(row, group);
  }
  return members;
}

/** The depth from which a large trace is folded, so that at most some hundreds of rows are open at first. */
export function foldDepth(trace, atMost = 500) {
  const counts = [];
  for (let row = 0; row < trace.n; row++) counts[trace.depth[row]] = (counts[trace.depth[row]] ?? 0) + 1;
  let shown = 0;
  const depth = counts.findIndex((count) => (shown += count) > atMost);
  return depth < 0 ? counts.length : Math.max(1, depth) - 1;
}

/** Time per service not covered by children: what the bar over the header shows. */
export function timeByService(trace) {
  const times = new Map();
  for (let row = 0; row < trace.n; row++) {
    const service = trace.text("service", row);
    times.set(service, (times.get(service) ?? 0) + Math.max(0, trace.self_ns[row]));
  }
  return [...times].sort((a, b) => b[1] - a[1]);
}

/** Spans per (service, name, resource), or another key: count, errors, sum, self, p95, largest. */
export function totals(trace, keyOf) {
  const groups = new Map();
  for (let row = 0; row < trace.n; row++) {
    const key = keyOf(row);
    let group = groups.get(key);
    if (!group) groups.set(key, group = { key, first: row, count: 0, errors: 0, sum: 0, self: 0, lengths: [] });
    group.count += 1;
    group.sum += trace.length[row];
    group.self += trace.self_ns[row];
    group.lengths.push(trace.length[row]);
    if (trace.flags[row] & FLAG.error) group.errors += 1;
  }
  for (const group of groups.values()) {
    group.lengths.sort((a, b) => a - b);
    group.p95 = group.lengths[Math.min(group.count - 1, Math.floor(group.count * 0.95))];
    group.most = group.lengths[group.count - 1];
  }
  return [...groups.values()];
}
