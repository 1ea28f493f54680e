/**
 * Building the page. Everything on screen is made by `el` and `svg`, whose strings can only become
 * text nodes or one of the attributes listed here. Data from a traced program is therefore never
 * parsed as HTML, and no value can become an event handler, a style or a foreign link.
 */

/** @typedef {Node|string|number|null|undefined|false|any[]} Child */

const ATTRIBUTES = new Set([
  "class", "id", "role", "title", "type", "value", "name", "placeholder", "for", "dir", "lang", "tabindex",
  "disabled", "checked", "hidden", "selected", "colspan", "scope", "autocomplete", "spellcheck",
  "min", "max", "step", "open", "href", "download", "width", "height", "inputmode", "rows", "list", "draggable",
]);

const SVG_ATTRIBUTES = new Set([
  "class", "id", "role", "viewBox", "width", "height", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "d",
  "points", "transform", "text-anchor", "dominant-baseline", "marker-end", "markerUnits", "markerWidth", "markerHeight", "refX",
  "refY", "orient", "tabindex", "preserveAspectRatio", "stroke-dasharray", "stroke-width", "focusable", "pathLength",
]);

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element. `attributes` may hold listed attributes, `aria-*`, `data-*`, and listeners as
 * functions (`onclick`). A value of `null`, `undefined` or `false` leaves the attribute out.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>|null} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  assign(node, attributes, ATTRIBUTES);
  append(node, children);
  return node;
}

/** The same for SVG. @returns {SVGElement} */
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  assign(node, attributes, SVG_ATTRIBUTES);
  append(node, children);
  return node;
}

/** Changes listed attributes of an existing element, under the same rules as `el`. */
export function set(node, attributes) {
  assign(node, attributes, node.namespaceURI === SVG ? SVG_ATTRIBUTES : ATTRIBUTES);
  return node;
}

function assign(node, attributes, allowed) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function" && name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else if (!allowed.has(name) && !name.startsWith("aria-") && !name.startsWith("data-")) {
      throw new TypeError(`attribute "${name}" is not one that may be set`);
    } else if (value === null || value === undefined || value === false) {
      node.removeAttribute(name);
    } else if (name === "href" && !isOwnLink(String(value))) {
      throw new TypeError("a link may only lead to this page or to an editor");
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/** Links lead to this origin (`/…`, `#…`, `?…`); `editor.js` asks for the schemes of editors. */
const SCHEMES = new Set(["vscode:", "vscodium:", "cursor:", "zed:", "idea:", "jetbrains:", "subl:", "emacs:", "blob:"]);
function isOwnLink(link) {
  if (link.startsWith("//") || link.startsWith("/\\")) return false;
  if (/^[/#?]/.test(link)) return true;
  return SCHEMES.has(link.slice(0, link.indexOf(":") + 1).toLowerCase());
}

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces everything inside `node`. @param {Element} node @param {...Child} children */
export function fill(node, ...children) {
  node.textContent = "";
  append(node, children);
  return node;
}

/**
 * Text that a program sent: isolated, so that right-to-left text can't reorder what stands beside
 * it, and cut, so that a megabyte in a name does not freeze the page (details show it whole).
 * @param {unknown} text
 */
export function user(text, limit = 400) {
  const whole = String(text ?? "");
  return el("bdi", null, whole.length > limit ? `${whole.slice(0, limit)}…` : whole);
}

/** Sets style properties through the style object, which the content policy allows. */
export function style(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, String(value));
  return node;
}
