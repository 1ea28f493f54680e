/**
 * Layered layout of the service map: who calls stands left of whom it calls. Deterministic (nodes and
 * edges come sorted by name), iterative, and good enough for some hundreds of nodes: cycles are cut
 * at the edge that closes them, layers by longest path, order within a layer by sweeps to the median
 * of the neighbours. An edge over several layers gets a place of its own in each that it passes, so
 * that it runs between the boxes and not behind them.
 */

/**
 * @param {{id: string}[]} nodes sorted
 * @param {{from: string, to: string}[]} edges sorted
 * @returns {{layers: string[][], back: Set<number>, via: Map<number, string[]>}} ids by layer, those of
 *   passing places among them; which edges lead backwards; the passing places of edges
 */
export function layers(nodes, edges) {
  const out = new Map(nodes.map((node) => [node.id, []]));
  const into = new Map(nodes.map((node) => [node.id, []]));
  edges.forEach((edge, index) => {
    if (edge.from === edge.to || !out.has(edge.from) || !out.has(edge.to)) return;
    out.get(edge.from).push({ id: edge.to, index });
    into.get(edge.to).push({ id: edge.from, index });
  });

  // Edges that close a cycle, found from the nodes that nobody calls first, then from the rest.
  const back = new Set();
  const seen = new Map();
  const starts = [...nodes].sort((a, b) => Number(into.get(a.id).length > 0) - Number(into.get(b.id).length > 0));
  const finished = [];
  for (const start of starts) {
    if (seen.has(start.id)) continue;
    const stack = [{ id: start.id, next: 0 }];
    seen.set(start.id, "open");
    while (stack.length > 0) {
      const visit = stack[stack.length - 1];
      const edge = out.get(visit.id)[visit.next++];
      if (!edge) {
        seen.set(visit.id, "done");
        finished.push(visit.id);
        stack.pop();
      } else if (seen.get(edge.id) === "open") {
        back.add(edge.index);
      } else if (!seen.has(edge.id)) {
        seen.set(edge.id, "open");
        stack.push({ id: edge.id, next: 0 });
      }
    }
  }

  const layerOf = new Map();
  for (const id of finished.reverse()) {
    const above = into.get(id).filter((edge) => !back.has(edge.index)).map((edge) => layerOf.get(edge.id) ?? 0);
    layerOf.set(id, above.length > 0 ? Math.max(...above) + 1 : 0);
  }
  const rows = [];
  for (const node of nodes) {
    const layer = layerOf.get(node.id) ?? 0;
    (rows[layer] ??= []).push(node.id);
  }

  const via = new Map();
  edges.forEach((edge, index) => {
    if (back.has(index) || edge.from === edge.to || !layerOf.has(edge.from) || !layerOf.has(edge.to)) return;
    const places = [];
    let last = edge.from;
    const link = (to) => {
      out.get(last).push({ id: to, index });
      into.get(to).push({ id: last, index });
      last = to;
    };
    for (let layer = layerOf.get(edge.from) + 1; layer < layerOf.get(edge.to); layer++) {
      const id = `\u0000${index} ${layer}`;
      out.set(id, []);
      into.set(id, []);
      (rows[layer] ??= []).push(id);
      link(id);
      places.push(id);
    }
    if (places.length === 0) return;
    link(edge.to);
    via.set(index, places);
    out.set(edge.from, out.get(edge.from).filter((other) => other.index !== index || other.id === places[0]));
    into.set(edge.to, into.get(edge.to).filter((other) => other.index !== index || other.id !== edge.from));
  });

  const place = new Map();
  const index = () => rows.forEach((row) => row.forEach((id, at) => place.set(id, at)));
  index();
  const sweep = (row, edgesOf) => {
    const wanted = new Map(row.map((id, at) => {
      const near = edgesOf.get(id).map((edge) => place.get(edge.id)).sort((a, b) => a - b);
      return [id, near.length > 0 ? near[Math.floor((near.length - 1) / 2)] : at];
    }));
    row.sort((a, b) => wanted.get(a) - wanted.get(b) || place.get(a) - place.get(b));
    row.forEach((id, at) => place.set(id, at));
  };
  for (let turn = 0; turn < 4; turn++) {
    for (let at = 1; at < rows.length; at++) sweep(rows[at], into);
    for (let at = rows.length - 2; at >= 0; at--) sweep(rows[at], out);
  }
  return { layers: Array.from(rows, (row) => row ?? []), back, via };
}
