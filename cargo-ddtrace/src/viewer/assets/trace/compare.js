/**
 * Two traces in one tree: spans with the same path (service, operation, resource, from the root on)
 * become one node, with what each trace spent there. Iterative; one pass per trace.
 */

/**
 * @typedef {{level: number, parent: number, service: string, name: string, resource: string, below: number[],
 *   sides: {count: number, time: number, self: number, errors: number}[]}} Node
 */

/** @param {object[]} traces as `model.read` makes them @returns {Node[]} depth first, parents first */
export function merge(traces) {
  const nodes = [];
  const known = new Map();
  const roots = [];
  traces.forEach((trace, side) => {
    const nodeOf = new Int32Array(trace.n);
    for (let row = 0; row < trace.n; row++) {
      const parent = trace.parent[row] < 0 ? -1 : nodeOf[trace.parent[row]];
      const [service, name, resource] = ["service", "name", "resource"].map((column) => trace.text(column, row));
      const key = JSON.stringify([parent, service, name, resource]);
      let index = known.get(key);
      if (index === undefined) {
        const empty = () => ({ count: 0, time: 0, self: 0, errors: 0 });
        index = nodes.push({ level: 0, parent, service, name, resource, below: [], sides: traces.map(empty) }) - 1;
        known.set(key, index);
        (parent < 0 ? roots : nodes[parent].below).push(index);
      }
      nodeOf[row] = index;
      const own = nodes[index].sides[side];
      own.count += 1;
      own.time += trace.length[row];
      own.self += Math.max(0, trace.self_ns[row]);
      own.errors += trace.flags[row] & 1;
    }
  });
  const ordered = [];
  const stack = roots.reverse().map((index) => ({ index, level: 1, parent: -1 }));
  while (stack.length > 0) {
    const { index, level, parent } = stack.pop();
    const at = ordered.push({ ...nodes[index], level, parent }) - 1;
    for (const child of [...nodes[index].below].reverse()) stack.push({ index: child, level: level + 1, parent: at });
  }
  return ordered;
}
