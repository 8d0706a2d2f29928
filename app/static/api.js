// The JSON API under `api/`, described at `docs`.

const running = {}; // the latest request of each kind

/** Asks the API; a newer request of the same kind aborts the older one. */
export async function ask(kind, parameters = "") {
  cancel(kind);
  running[kind] = new AbortController();
  const response = await fetch(`api/${kind}?${parameters}`, { signal: running[kind].signal });
  const answer = await response.json().catch(notJson);
  if (response.ok) return answer;
  throw new Error(answer.detail ?? `The server failed (${response.status}).`);
}

function notJson(error) {
  if (error.name === "AbortError") throw error;
  return {};
}

export function cancel(kind) {
  running[kind]?.abort();
}

/** What to say about an error; null if a newer request aborted this one. */
export function errorMessage(error) {
  if (error.name === "AbortError") return null;
  const lost = error instanceof TypeError; // what fetch throws if no server answers
  return lost ? "The server does not answer. Is it still running?" : error.message;
}
