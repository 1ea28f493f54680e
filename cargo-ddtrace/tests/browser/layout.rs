//! What the page computes: properties over random trees, run in the browser on the modules that it serves.

use super::Stage;

/// Random traces as the API would give them: depth first, siblings by start.
const RANDOM: &str = r"
const random = (seed) => () => ((seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) / 0x7fffffff);
const columns = (n, seed, inside) => {
  const next = random(seed);
  const spans = [{ parent: -1, offset: 0, length: 1e6 }];
  for (let i = 1; i < n; i++) {
    const parent = Math.floor(next() * i);
    const above = spans[parent];
    const offset = above.offset + Math.floor(next() * above.length);
    const room = above.offset + above.length - offset;
    spans.push({ parent, offset, length: Math.floor(next() * (inside || next() > 0.15 ? room : room * 2)) });
  }
  const below = spans.map(() => []);
  spans.forEach((span, i) => { if (span.parent >= 0) below[span.parent].push(i); });
  below.forEach((list) => list.sort((a, b) => spans[b].offset - spans[a].offset));
  const order = [];
  for (const stack = [0]; stack.length;) { const i = stack.pop(); order.push(i); stack.push(...below[i]); }
  const row = [];
  order.forEach((i, at) => { row[i] = at; });
  return { n, duration: 1e6, strings: ['', 'a', 'b'], span: order.map(String), parent: order.map((i) => (spans[i].parent < 0 ? -1 : row[spans[i].parent])),
    offset: order.map((i) => spans[i].offset), duration_ns: order.map((i) => spans[i].length), self_ns: order.map(() => 0),
    service: order.map(() => 1), name: order.map((i) => 1 + (i % 2)), resource: order.map(() => 0), flags: order.map(() => 0) };
};
const root = document.querySelector('script[type=module]').getAttribute('src').replace('app.js', '');
const fail = (text) => { throw new Error(text); };
";

fn check(script: &str) {
    let mut stage = Stage::new();
    stage.open("/");
    stage
        .browser
        .wait("document.querySelector('main .empty') !== null");
    let answer = stage.browser.eval(&format!(
        "(async () => {{ {RANDOM} {script} return 'held'; }})()"
    ));
    assert_eq!(answer, "held");
    stage.done();
}

#[test]
fn the_critical_path_is_as_long_as_the_root() {
    check(
        "const { read, criticalPath } = await import(root + 'trace/model.js');
         for (let seed = 1; seed <= 150; seed++) {
           const trace = read(columns(1 + seed * 2, seed, false));
           const path = criticalPath(trace);
           const sum = path.reduce((total, part) => total + part.to - part.from, 0);
           if (sum !== 1e6) fail(`seed ${seed}: ${sum}`);
           path.forEach((part, i) => {
             if (i > 0 && part.to !== path[i - 1].from) fail(`seed ${seed}: segments do not touch`);
             if (part.from < trace.offset[part.row] || part.to > trace.end[part.row]) fail(`seed ${seed}: a segment lies outside of its span`);
           });
         }",
    );
}

#[test]
fn every_span_is_shown_once_in_order_and_folding_hides_exactly_what_is_below() {
    check(
        "const { read, repeats } = await import(root + 'trace/model.js');
         const { visibleRows } = await import(root + 'trace/rows.js');
         const choice = (more) => ({ folded: new Set(), opened: new Set(), groups: new Map(), shortest: 0, hidden: new Set(), matches: null, top: -1, ...more });
         for (let seed = 1; seed <= 60; seed++) {
           const trace = read(columns(1 + seed * 3, seed, true));
           const all = visibleRows(trace, choice({}));
           if (all.length !== trace.n || all.some((item, i) => item.row !== i)) fail(`seed ${seed}: not every span once`);
           if (all.some((item) => item.level !== trace.depth[item.row] + 1)) fail(`seed ${seed}: level`);
           const folded = Math.floor(trace.n / 2);
           if (visibleRows(trace, choice({ folded: new Set([folded]) })).length !== trace.n - trace.size[folded] + 1) fail(`seed ${seed}: fold`);
           const groups = repeats(trace);
           const open = visibleRows(trace, choice({ groups, opened: new Set(trace.span.map((_, row) => row)) }));
           const shown = open.filter((item) => item.kind === 'span').map((item) => item.row).sort((a, b) => a - b);
           if (shown.length !== trace.n || shown.some((row, i) => row !== i)) fail(`seed ${seed}: opened groups lose spans`);
           const match = trace.n - 1;
           for (const item of visibleRows(trace, choice({ matches: new Set([match]) }))) {
             let at = match;
             while (at >= 0 && at !== item.row) at = trace.parent[at];
             if (at < 0) fail(`seed ${seed}: a row that is not above the match`);
           }
         }",
    );
}

#[test]
fn gaps_lie_inside_their_span_and_no_child_runs_in_them() {
    check(
        "const { read, gaps, children } = await import(root + 'trace/model.js');
         for (let seed = 1; seed <= 100; seed++) {
           const trace = read(columns(1 + seed * 2, seed, false));
           for (const [row, list] of gaps(trace)) {
             for (const gap of list) {
               if (gap.from < trace.offset[row] || gap.to > trace.end[row]) fail(`seed ${seed}: outside`);
               if (gap.to - gap.from < trace.length[row] * 0.05) fail(`seed ${seed}: too small`);
               for (const child of children(trace, row)) {
                 if (Math.min(gap.to, trace.end[child]) > Math.max(gap.from, trace.offset[child])) fail(`seed ${seed}: covered`);
               }
             }
           }
         }",
    );
}

#[test]
fn the_order_in_which_siblings_are_given_does_not_change_repeats() {
    check(
        "const { read, repeats } = await import(root + 'trace/model.js');
         const base = { n: 8, duration: 100, strings: ['', 'a'], span: ['1', '2', '3', '4', '5', '6', '7', '8'], parent: [-1, 0, 0, 0, 0, 0, 0, 0], offset: [0, 1, 2, 3, 4, 5, 6, 7],
           duration_ns: [100, 1, 2, 3, 4, 5, 6, 7], self_ns: [0, 0, 0, 0, 0, 0, 0, 0], service: Array(8).fill(1), resource: Array(8).fill(0), flags: [0, 0, 1, 0, 0, 0, 0, 0] };
         const mixed = repeats(read({ ...base, name: [1, 0, 0, 0, 1, 0, 0, 1] }));
         const group = mixed.get(1);
         if (!group || group.rows.length !== 5 || group.sum !== 1 + 2 + 3 + 5 + 6 || group.least !== 1 || group.most !== 6 || group.errors !== 1) fail(JSON.stringify(group));
         if (mixed.get(4) || mixed.get(0)) fail('too few to fold');
         if (repeats(read({ ...base, name: [1, 0, 0, 0, 1, 1, 1, 0] })).size !== 0) fail('four are not five');",
    );
}

#[test]
fn the_icicle_keeps_children_under_their_parent_and_lanes_free_of_overlap() {
    check(
        "const { read } = await import(root + 'trace/model.js');
         const { timeOrder, leftHeavy } = await import(root + 'trace/flame.js');
         for (let seed = 1; seed <= 60; seed++) {
           const raw = columns(1 + seed * 2, seed, true);
           raw.self_ns = raw.duration_ns.map((length) => Math.floor(length / 3));
           const trace = read(raw);
           const boxes = timeOrder(trace);
           boxes.forEach((box) => { if (box.parent >= 0 && box.lane <= boxes[box.parent].lane) fail(`seed ${seed}: above its parent`); });
           const lanes = Map.groupBy(boxes, (box) => box.lane);
           for (const lane of lanes.values()) {
             lane.sort((a, b) => a.x - b.x || a.width - b.width);
             lane.forEach((box, i) => { if (i > 0 && lane[i - 1].x + lane[i - 1].width > box.x) fail(`seed ${seed}: overlap`); });
           }
           const merged = leftHeavy(trace);
           if (merged.reduce((sum, box) => sum + box.count, 0) !== trace.n) fail(`seed ${seed}: spans lost`);
           for (const box of merged) {
             if (box.parent < 0) continue;
             const above = merged[box.parent];
             if (box.x < above.x - 1e-6 || box.x + box.width > above.x + above.width + 1e-6) fail(`seed ${seed}: sticks out`);
           }
         }",
    );
}

#[test]
fn the_map_is_layered_without_edges_that_lead_left_except_where_there_is_a_cycle() {
    check(
        "const { layers } = await import(root + 'map/layers.js');
         for (let seed = 1; seed <= 100; seed++) {
           const next = random(seed);
           const nodes = Array.from({ length: 2 + Math.floor(next() * 14) }, (_, i) => ({ id: 'n' + String(i).padStart(2, '0') }));
           const edges = [];
           for (let i = 0; i < nodes.length * 2; i++) edges.push({ from: nodes[Math.floor(next() * nodes.length)].id, to: nodes[Math.floor(next() * nodes.length)].id });
           const first = layers(nodes, edges);
           if (JSON.stringify(first.layers) !== JSON.stringify(layers(nodes, edges).layers)) fail(`seed ${seed}: differs`);
           const at = new Map(first.layers.flatMap((row, layer) => row.map((id) => [id, layer])));
           if (nodes.some((node) => !at.has(node.id))) fail(`seed ${seed}: a node is lost`);
           edges.forEach((edge, i) => {
             if (edge.from !== edge.to && !first.back.has(i) && at.get(edge.to) <= at.get(edge.from)) fail(`seed ${seed}: leads left`);
             if (first.via.has(i) && first.via.get(i).length !== at.get(edge.to) - at.get(edge.from) - 1) fail(`seed ${seed}: passes`);
           });
         }
         const { layers: line } = layers([{ id: 'a' }, { id: 'b' }, { id: 'c' }], [{ from: 'a', to: 'b' }, { from: 'b', to: 'c' }, { from: 'a', to: 'c' }]);
         if (line.map((row) => row.filter((id) => id.length === 1).join()).join('|') !== 'a|b|c') fail(JSON.stringify(line));",
    );
}

#[test]
fn numbers_are_written_for_people() {
    check(
        "const { duration, rate, percent, bytes, count } = await import(root + 'data/format.js');
         const cases = [[duration(0), '0'], [duration(999), '999 ns'], [duration(1500), '1.5 µs'], [duration(82_100_000), '82.1 ms'], [duration(999_950_000), '1 s'], [duration(1_250_000_000), '1.25 s'],
           [duration(125e9), '2 min 5 s'], [duration(-3e6), '−3 ms'], [duration(NaN), '–'], [rate(12), '12/s'], [rate(0.05), '3/min'], [rate(0), '0/s'],
           [percent(0.004), '0.4 %'], [percent(0), '0 %'], [percent(0.0001), '<0.1 %'], [bytes(999), '999 B'], [bytes(1234), '1.23 kB'], [count(12400), '12,400']];
         for (const [found, wanted] of cases) if (found !== wanted) fail(`${found} instead of ${wanted}`);",
    );
}
