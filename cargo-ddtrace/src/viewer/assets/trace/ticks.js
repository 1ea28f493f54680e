/** Round points on a scale of time: 1, 2 or 5 times a power of ten, about six of them. */
export function ticks(from, to, about = 6) {
  const length = to - from;
  if (!(length > 0)) return [];
  const rough = length / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  const points = [];
  for (let point = Math.ceil(from / step) * step; point <= to && points.length < 50; point += step) points.push(point);
  return points;
}
