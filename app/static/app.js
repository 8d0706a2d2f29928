// The page of the demo. Text from the catalogue is only ever set as text, never as markup.

const SHORT = 240; // characters of an overview on a card
const PAUSE = 150; // milliseconds without a keystroke before completion or a filter asks
const MIN_SHARE = 0.01; // part of the score from which a contribution is shown
const SHARES = {
  content: "Story (Doc2Vec)",
  words: "Words",
  title: "Title",
  hidden: "Kind of story",
  genre: "Genres",
  people: "People",
  keywords: "Keywords",
  year: "Release year",
  quality: "Known film",
  votes: "Popularity",
};

const state = { liked: [], options: [], active: -1, text: "" };
const byId = (id) => document.getElementById(id);
const form = byId("form");
const box = byId("title");

/** An element with attributes and children; strings become text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** `call`, once nothing has come for a while; `cancel` takes a waiting one back. */
function calm(call) {
  let timer;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), PAUSE);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** Asks the API; a newer question of the same kind takes the older one back. */
const running = {};
async function ask(kind, parameters = "") {
  running[kind]?.abort();
  running[kind] = new AbortController();
  const response = await fetch(`api/${kind}?${parameters}`, { signal: running[kind].signal });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new Error(answer.detail ?? `The server failed (${response.status}).`);
}

const key = (movie) => `${movie.source}/${movie.id}`;
const named = (movie) => (movie.year ? `${movie.title} (${movie.year})` : movie.title);
const mode = () => new FormData(form).get("mode");

// Completion

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
  made.addEventListener("click", () => like(movie));
  return made;
}

function activate(position) {
  const items = [...byId("options").children];
  state.active = (position + items.length) % items.length;
  items.forEach((item, at) => item.setAttribute("aria-selected", String(at === state.active)));
  items[state.active].scrollIntoView({ block: "nearest" });
  box.setAttribute("aria-activedescendant", items[state.active].id);
}

/** Titles near what was typed and the movie that it means; nothing if nothing was typed. */
async function near(typed) {
  if (!typed) return { titles: [], meant: null };
  return ask("titles", new URLSearchParams({ q: typed }));
}

const complete = calm(async () => {
  try {
    const typed = box.value.trim();
    const { titles } = await near(typed);
    if (typed === box.value.trim() && document.activeElement === box) showOptions(titles);
  } catch (error) {
    failed(error);
  }
});

/** Enter without a choice: the movie that the title means, else its namesakes or suggestions. */
async function take(typed) {
  complete.cancel();
  try {
    const { titles, meant } = await near(typed);
    const exact = titles.filter((movie) => movie.exact);
    if (meant) like(meant);
    else if (exact.length) showOptions(exact);
    else unknown(typed, titles);
  } catch (error) {
    failed(error);
  }
}

function unknown(typed, movies) {
  showOptions([]);
  const problem = `No movie is called “${typed}”.`;
  const buttons = movies.slice(0, 5).map((movie) => {
    const button = element("button", { type: "button" }, named(movie));
    button.addEventListener("click", () => {
      like(movie);
      box.focus();
    });
    return button;
  });
  complain(buttons.length ? `${problem} Did you mean:` : problem, buttons);
}

/** What is wrong with the title, beside its box; nothing takes it back. */
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
  else if (event.key === "Enter" && state.active >= 0) like(state.options[state.active]);
  else if (event.key === "Enter" && box.value.trim()) take(box.value.trim());
  else if (event.key === "Escape" && open) showOptions([]);
  else if (event.key === "Escape") empty();
  else if (event.key === "Backspace" && !box.value && state.liked.length) unlike(state.liked.at(-1));
  else return;
  event.preventDefault();
}

function empty() {
  box.value = "";
  complain();
}

// Chosen titles

function like(movie) {
  complete.cancel();
  running.titles?.abort();
  empty();
  showOptions([]);
  if (!state.liked.some((liked) => key(liked) === key(movie))) state.liked.push(movie);
  byId("form").elements.mode.value = "titles";
  showMode();
}

function unlike(movie) {
  state.liked = state.liked.filter((liked) => liked !== movie);
  box.focus();
  showChips();
  recommend();
}

function showChips() {
  const chips = state.liked.map((movie) => {
    const label = `Remove ${named(movie)}`;
    const button = element("button", { type: "button", "aria-label": label }, named(movie));
    button.addEventListener("click", () => unlike(movie));
    return element("li", {}, button);
  });
  byId("chips").replaceChildren(...chips);
  byId("chips").hidden = !chips.length;
}

function showMode() {
  byId("by-titles").hidden = mode() !== "titles";
  byId("by-text").hidden = mode() !== "text";
  showChips();
  recommend();
}

// Filters

function checkboxes(name, genres) {
  return genres.map((genre) => {
    const input = element("input", { type: "checkbox", name, value: genre });
    return element("label", {}, input, element("span", {}, genre));
  });
}

/** A genre is wanted or unwanted, not both. */
function exclude(changed) {
  const other = { genre: "not_genre", not_genre: "genre" }[changed.name];
  if (!other || !changed.checked) return;
  for (const input of form.querySelectorAll(`input[name="${other}"]`)) {
    if (input.value === changed.value) input.checked = false;
  }
}

function filters() {
  const chosen = [];
  for (const input of form.querySelectorAll(".pills input:checked")) {
    chosen.push([input.name, input.value]);
  }
  const plain = { from_year: "from-year", to_year: "to-year", language: "language" };
  for (const [name, id] of Object.entries(plain)) {
    if (byId(id).value) chosen.push([name, byId(id).value]);
  }
  if (byId("diversity").dataset.moved) chosen.push(["diversity", byId("diversity").value]);
  return chosen;
}

function showFilters() {
  const count = filters().length;
  byId("active").textContent = count ? `(${count} set)` : "";
  const slider = byId("diversity");
  const value = slider.dataset.moved ? Number(slider.value).toFixed(1) : "as trained";
  byId("diversity-value").textContent = value;
  slider.setAttribute("aria-valuetext", value);
}

function languageNames(codes) {
  const names = new Intl.DisplayNames("en", { type: "language" });
  return codes.map((code) => {
    let name = code;
    try {
      name = names.of(code);
    } catch {
      // not a language code: shown as it is
    }
    return element("option", { value: code }, name);
  });
}

// Recommendations

/** Query parameters of the chosen movies or the text; empty if there are none. */
function subject() {
  if (mode() === "text") return state.text ? [["text", state.text]] : [];
  return state.liked.flatMap((movie) => [
    ["title", movie.title],
    ["id", movie.id],
  ]);
}

async function recommend() {
  const about = subject();
  if (!about.length) return nothingAsked();
  if (!form.checkValidity()) return fail("Years lie between 1800 and 2200.");
  const all = [...about, ...filters(), ["limit", byId("limit").value]];
  const query = new URLSearchParams(all).toString();
  say("Looking …");
  byId("movies").setAttribute("aria-busy", "true");
  try {
    show(await ask("recommend", query));
  } catch (error) {
    failed(error);
  }
}

function nothingAsked() {
  running.recommend?.abort();
  clear();
  say(mode() === "text" ? "What should happen in it?" : "Which film did you like?");
}

function say(message, kind = "") {
  byId("status").textContent = message;
  byId("status").className = kind;
  if (message !== "Looking …") byId("movies").removeAttribute("aria-busy");
}

function fail(message) {
  running.recommend?.abort();
  clear();
  say(message, "error");
}

function clear() {
  byId("movies").replaceChildren();
  byId("notes").textContent = "";
}

function failed(error) {
  if (error.name === "AbortError") return; // a newer question is on its way
  const lost = error instanceof TypeError; // what fetch throws where no server answers
  fail(lost ? "The server does not answer. Is it still running?" : error.message);
}

function show({ question, movies }) {
  const notes = mode() === "text" ? [] : state.liked.map((movie) => movie.note);
  byId("notes").textContent = notes.filter(Boolean).join(" ");
  byId("movies").replaceChildren(...movies.map(card));
  if (!movies.length) return say("No movie passes the filters.");
  const many = movies.length === 1 ? "1 movie" : `${movies.length} movies`;
  const about = shortened(question, 100);
  say(`${many} like ${mode() === "text" ? `“${about}”` : about}`);
}

function shortened(text, length) {
  if (text.length <= length) return text;
  const cut = text.slice(0, length);
  return `${cut.slice(0, cut.lastIndexOf(" ") + 1 || length).trimEnd()} …`;
}

function card(movie) {
  const year = element("span", { class: "year" }, String(movie.year ?? ""));
  const score = element("p", { class: "score" }, movie.score.toFixed(3));
  score.append(element("small", {}, "score"));
  const use = element("button", { type: "button", class: "use" }, "Add to my titles");
  use.setAttribute("aria-label", `Add ${named(movie)} to my titles`);
  use.addEventListener("click", () => {
    like(movie);
    byId("status").focus();
  });
  const genres = element("p", { class: "genres" }, movie.genres.join(", ") || "No genre known");
  return element(
    "li",
    { class: "movie" },
    element("h2", {}, movie.title, " ", year),
    score,
    genres,
    element("p", { class: "overview" }, shortened(movie.overview, SHORT)),
    element("div", { class: "more" }, why(movie), use),
  );
}

function why({ why, score }) {
  const reasons = element("dl");
  for (const [name, values] of Object.entries(inCommon(why))) {
    if (values.length) reasons.append(...row(name, values.join(", ")));
  }
  const hint = element("p", { class: "hint" }, "Contribution of each feature to the score");
  const shares = Object.entries(why.shares).filter(([, value]) => value > MIN_SHARE * score);
  shares.sort(([, one], [, other]) => other - one);
  const bars = element("dl", { class: "shares" });
  for (const [name, value] of shares) bars.append(...row(SHARES[name] ?? name, share(value, score)));
  return element("details", {}, element("summary", {}, "Why this one"), reasons, hint, bars);
}

/** What a movie shares with the query. */
function inCommon(why) {
  return {
    "Same words": why.words,
    "Same keywords": why.keywords,
    "Same genres": why.genres,
    "Same people": why.people,
  };
}

function row(name, value) {
  return [element("dt", {}, name), element("dd", {}, value)];
}

/** A bar as wide as the value's part of the score. */
function share(value, score) {
  const bar = element("span");
  bar.style.width = `${Math.max(0, Math.min(1, value / score)) * 100}%`;
  const track = element("span", { class: "track", "aria-hidden": "true" }, bar);
  return element("span", { class: "share" }, track, element("b", {}, value.toFixed(3)));
}

// Wiring

function tell() {
  state.text = byId("text").value.trim();
  recommend();
}

const refilter = calm(recommend);

function onChange({ target }) {
  if (target.name === "mode") showMode();
  if (!target.closest(".filters")) return;
  exclude(target);
  showFilters();
  refilter();
}

box.addEventListener("input", () => {
  complain();
  complete();
});
box.addEventListener("keydown", onKey);
box.addEventListener("blur", () => showOptions([]));
form.addEventListener("change", onChange);
byId("diversity").addEventListener("input", (event) => {
  event.target.dataset.moved = "yes";
  showFilters();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (mode() === "text") tell();
});
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) tell();
});
form.addEventListener("reset", (event) => {
  event.preventDefault(); // a plain reset would also empty the question
  for (const input of form.querySelectorAll(".pills input")) input.checked = false;
  for (const id of ["from-year", "to-year", "language"]) byId(id).value = "";
  byId("limit").value = "10";
  byId("diversity").value = "0";
  delete byId("diversity").dataset.moved;
  showFilters();
  refilter();
});

try {
  const [{ genres }, { languages }] = await Promise.all([ask("genres"), ask("languages")]);
  byId("genres").append(...checkboxes("genre", genres));
  byId("not-genres").append(...checkboxes("not_genre", genres));
  byId("language").append(...languageNames(languages));
  showFilters();
} catch (error) {
  failed(error);
}
