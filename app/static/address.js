// The address of the page holds the question, with the parameters of `api/recommend`.

/** Puts a question into the address: as a new entry of the history, or in place of the present. */
export function writeAddress(pairs, { replace = false } = {}) {
  const query = new URLSearchParams(pairs).toString();
  if (query === readAddress().toString()) return;
  const address = query ? `?${query}` : location.pathname;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

export function readAddress() {
  return new URLSearchParams(location.search);
}

/** The movies of an address: titles with ids, titles alone, or ids alone. */
export function moviesOf(parameters) {
  const titles = parameters.getAll("title");
  const ids = parameters.getAll("id");
  if (titles.length && ids.length !== titles.length) return titles.map((title) => ({ title }));
  return ids.map((id, position) => ({ id, title: titles[position] }));
}
