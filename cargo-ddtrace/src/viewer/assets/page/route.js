/**
 * The address holds the whole state of a page: which page, which trace, what is searched, selected
 * and open. `go` adds a step to the history, `replace` does not; both tell the listener.
 */

/** @typedef {{path: string, query: URLSearchParams}} Route */

/** @type {(route: Route) => void} */
let listener = () => {};

/** @returns {Route} */
export function current() {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

/** Address of a page with the given query; empty values are left out. */
export function address(path, query = {}) {
  const parts = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "" && value !== false) parts.set(key, String(value));
  }
  const text = parts.toString();
  return text ? `${path}?${text}` : path;
}

export function go(target) {
  if (target === location.pathname + location.search) return;
  history.pushState(null, "", target);
  listener(current());
}

/** Changes parts of the query of this page. `null` removes a part. */
export function change(parts, { push = false } = {}) {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(parts)) {
    if (value === null || value === undefined || value === "" || value === false) query.delete(key);
    else query.set(key, String(value));
  }
  const text = query.toString();
  const target = text ? `${location.pathname}?${text}` : location.pathname;
  if (target === location.pathname + location.search) return;
  if (push) history.pushState(null, "", target);
  else history.replaceState(history.state, "", target);
  listener(current());
}

/** Calls `onRoute` for every change, and lets links inside this origin change the page in place. */
export function listen(onRoute) {
  listener = onRoute;
  addEventListener("popstate", () => listener(current()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    const target = link?.getAttribute("href");
    if (!target?.startsWith("/") || target.startsWith("/api/") || link.hasAttribute("download")) return;
    event.preventDefault();
    go(target);
  });
}
