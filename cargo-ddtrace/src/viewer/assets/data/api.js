/** Calls to the JSON API (`cargo-ddtrace/API.md`). Nothing else is ever requested. */

const token = document.querySelector('meta[name="ddtrace-token"]')?.getAttribute("content") ?? "";

export class ApiError extends Error {
  /** @param {number} status @param {{error?: string, code?: string, at?: number}} body */
  constructor(status, body) {
    super(body.error ?? `the agent answered ${status}`);
    this.status = status;
    this.code = body.code ?? "";
    this.at = body.at;
  }
}

function withQuery(path, query) {
  const parts = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== false) parts.set(key, String(value));
  }
  const text = parts.toString();
  return text ? `${path}?${text}` : path;
}

async function read(response) {
  if (response.ok) return response.json();
  throw new ApiError(response.status, await response.json().catch(() => ({})));
}

/** @param {string} path @param {Record<string, unknown>} [query] @param {AbortSignal} [signal] */
export async function get(path, query, signal) {
  return read(await fetch(withQuery(path, query), { signal, headers: { accept: "application/json" } }));
}

/** A changing call; it carries the token that only this page knows. */
export async function send(method, path, body) {
  return read(await fetch(path, {
    method,
    headers: { "content-type": "application/json", "x-ddtrace-token": token },
    body: JSON.stringify(body),
  }));
}

/** Whether an error only says that a newer request has taken this one's place. */
export function isAborted(error) {
  return error instanceof DOMException && error.name === "AbortError";
}
