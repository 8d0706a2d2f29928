// Small helpers. Text from the catalogue is only ever set as text, never as markup.

const PAUSE = 150; // milliseconds without a call before `calm` calls

export const byId = (id) => document.getElementById(id);

/** Title and year; of a movie that an address names by its id alone, the id. */
export function named({ title, year, id }) {
  if (!title) return `id ${id}`;
  return year ? `${title} (${year})` : title;
}

/** An element with attributes and children; strings become text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A button with a text that calls a function. */
export function button(text, onClick, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", onClick);
  return made;
}

/** `call`, once nothing has come for a while; `cancel` takes a waiting one back. */
export function calm(call) {
  let timer;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), PAUSE);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** At most `length` characters of a text, cut between words. */
export function shortened(text, length) {
  if (text.length <= length) return text;
  const cut = text.slice(0, length);
  return `${cut.slice(0, cut.lastIndexOf(" ") + 1 || length).trimEnd()} …`;
}
