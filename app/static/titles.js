// The box for titles: completions, suggestions for an unknown title.

import { ask, cancel } from "./api.js";
import { button, byId, calm, element, named } from "./dom.js";

const box = byId("title");
const state = { options: [], active: -1 };
const handlers = { choose() {}, removeLast() {}, fail() {} };

/** Listens to the box. `choose` gets a movie, `removeLast` nothing, `fail` an error. */
export function watchTitles(functions) {
  Object.assign(handlers, functions);
  box.addEventListener("input", () => {
    complain();
    complete();
  });
  box.addEventListener("keydown", onKey);
  box.addEventListener("blur", () => showOptions([]));
}

/** Empties the box, and closes what belongs to it. */
export function clearTitle() {
  complete.cancel();
  cancel("titles");
  box.value = "";
  complain();
  showOptions([]);
}

export function focusTitle() {
  box.focus();
}

/** The movie that a typed title means, the best known of several; null if no movie has it. */
export async function meantMovie(typed) {
  const { titles, meant } = await ask("titles", new URLSearchParams({ q: typed }));
  const movie = meant ?? titles.find((title) => title.exact) ?? null;
  if (!movie) suggest(typed, titles);
  return movie;
}

function choose(movie) {
  clearTitle();
  handlers.choose(movie);
}

function showOptions(movies) {
  state.options = movies;
  state.active = -1;
  byId("options").replaceChildren(...movies.map(option));
  byId("options").hidden = !movies.length;
  box.setAttribute("aria-expanded", String(movies.length > 0));
  box.removeAttribute("aria-activedescendant");
  const many = movies.length === 1 ? "1 title" : `${movies.length} titles`;
  byId("options-count").textContent = movies.length ? `${many}, choose with the arrow keys` : "";
}

function option(movie, position) {
  const year = element("span", { class: "year" }, String(movie.year ?? ""));
  const attributes = { role: "option", id: `option-${position}`, "aria-selected": "false" };
  const made = element("li", attributes, element("span", {}, movie.title), year);
  made.addEventListener("mousedown", (event) => event.preventDefault()); // the box keeps focus
  made.addEventListener("click", () => choose(movie));
  return made;
}

function activate(position) {
  const items = [...byId("options").children];
  state.active = (position + items.length) % items.length;
  items.forEach((item, at) => item.setAttribute("aria-selected", String(at === state.active)));
  items[state.active].scrollIntoView({ block: "nearest" });
  box.setAttribute("aria-activedescendant", items[state.active].id);
}

const complete = calm(async () => {
  const typed = box.value.trim();
  if (!typed) return showOptions([]);
  try {
    const { titles } = await ask("titles", new URLSearchParams({ q: typed }));
    if (typed === box.value.trim() && document.activeElement === box) showOptions(titles);
  } catch (error) {
    handlers.fail(error);
  }
});

/** Enter without a choice. */
async function take(typed) {
  complete.cancel();
  try {
    const movie = await meantMovie(typed);
    if (movie) choose(movie);
  } catch (error) {
    handlers.fail(error);
  }
}

function suggest(typed, movies) {
  showOptions([]);
  const problem = `No movie is called “${typed}”.`;
  const buttons = movies.slice(0, 5).map((movie) =>
    button(named(movie), () => {
      choose(movie);
      focusTitle();
    }),
  );
  complain(buttons.length ? `${problem} Did you mean:` : problem, buttons);
}

/** What is wrong with the title, next to its box. */
function complain(problem = "", buttons = []) {
  byId("title-problem").textContent = problem;
  byId("suggestions").replaceChildren(...buttons);
  byId("suggestions").hidden = !buttons.length;
  box.setAttribute("aria-invalid", String(problem !== ""));
}

function onKey(event) {
  if (event.isComposing) return;
  const open = state.options.length > 0;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && open) activate(state.active < 0 && step < 0 ? -1 : state.active + step);
  else if (step) complete();
  else if (event.key === "Enter" && state.active >= 0) choose(state.options[state.active]);
  else if (event.key === "Enter" && box.value.trim()) take(box.value.trim());
  else if (event.key === "Escape" && open) showOptions([]);
  else if (event.key === "Escape") clearTitle();
  else if (event.key === "Backspace" && !box.value) handlers.removeLast();
  else return;
  event.preventDefault();
}
