// The question: chosen movies or a story, its list, and its address.

import { moviesOf, readAddress, writeAddress } from "./address.js";
import { ask, cancel, errorMessage } from "./api.js";
import { card } from "./cards.js";
import { button, byId, element, named, shortened } from "./dom.js";
import { fillFilters, filterPairs, listPairs, restoreFilters, watchFilters } from "./filters.js";
import { clearTitle, focusTitle, meantMovie, watchTitles } from "./titles.js";

const NAME = "Movies like …";
const DATE = new Intl.DateTimeFormat("en", { dateStyle: "long" });
const state = { liked: [], text: "", version: null };
const form = byId("form");
const mode = () => new FormData(form).get("mode");
const isSame = (one, other) => one.id === other.id && (one.source ?? other.source) === other.source;

// Chosen titles

function like(movie) {
  if (!state.liked.some((liked) => isSame(liked, movie))) state.liked.push(movie);
  form.elements.mode.value = "titles";
  showMode();
  recommend();
}

function unlike(movie) {
  state.liked = state.liked.filter((liked) => liked !== movie);
  focusTitle();
  showChips();
  recommend();
}

function exchange(movie, other) {
  state.liked = state.liked.map((liked) => (isSame(liked, movie) ? other : liked));
  showChips();
  byId("status").focus();
  recommend();
}

function showChips() {
  const chips = state.liked.map((movie) => {
    const label = `Remove ${named(movie)}`;
    return element("li", {}, button(named(movie), () => unlike(movie), { "aria-label": label }));
  });
  byId("chips").replaceChildren(...chips);
  byId("chips").hidden = !chips.length;
}

function showMode() {
  byId("by-titles").hidden = mode() !== "titles";
  byId("by-text").hidden = mode() !== "text";
  showChips();
}

// The list

/** Query parameters of the chosen movies or the text; empty if there are none. */
function subject() {
  if (mode() === "text") return state.text ? [["text", state.text]] : [];
  const isTitled = state.liked.every((movie) => movie.title);
  const titled = ({ title, id }) => [
    ["title", title],
    ["id", id],
  ];
  return state.liked.flatMap(isTitled ? titled : ({ id }) => [["id", id]]);
}

/** Asks for the list; `replace`: the address of the question is no new entry of the history. */
async function recommend({ replace = false } = {}) {
  const pairs = subject();
  if (pairs.length || mode() === "titles") writeAddress([...pairs, ...listPairs()], { replace });
  if (!pairs.length) return nothingAsked();
  if (!form.checkValidity()) return fail("Years lie between 1800 and 2200.");
  say("Looking …");
  byId("movies").setAttribute("aria-busy", "true");
  try {
    const parameters = [...pairs, ...filterPairs(), ["limit", byId("limit").value]];
    show(await ask("recommend", new URLSearchParams(parameters)));
  } catch (error) {
    failed(error);
  }
}

function nothingAsked() {
  cancel("recommend");
  clear();
  document.title = NAME;
  say(mode() === "text" ? "What should happen in it?" : "Which film did you like?");
  if (mode() === "titles") showExamples().catch(failed);
}

function show({ question, asked, movies, version }) {
  byId("examples").hidden = true;
  if (mode() === "titles") showAsked(asked);
  showAlternatives(asked);
  byId("movies").replaceChildren(...movies.map((movie) => card(movie, () => add(movie))));
  const about = mode() === "text" ? `“${shortened(question, 100)}”` : shortened(question, 100);
  document.title = `Movies like ${about}`;
  const many = movies.length === 1 ? "1 movie" : `${movies.length} movies`;
  say(movies.length ? `${many} like ${about}` : "No movie passes the filters.");
  const isNewer = state.version !== null && version !== state.version;
  if (isNewer) showVersion().catch(() => {}); // the list is there; the next one tries again
}

function add(movie) {
  like(movie);
  byId("status").focus();
}

/** The movies as they were understood; the address then names them by id. */
function showAsked(asked) {
  state.liked = asked;
  showChips();
  writeAddress([...subject(), ...listPairs()], { replace: true });
}

/** Other movies that the titles could mean. */
function showAlternatives(asked) {
  const buttons = asked.flatMap((movie) => {
    const others = movie.alternatives.filter((other) => !asked.some((one) => isSame(one, other)));
    return others.map((other) => button(named(other), () => exchange(movie, other)));
  });
  byId("alternatives").hidden = !buttons.length;
  byId("alternatives").replaceChildren("Did you mean:", ...buttons);
}

function say(message, kind = "") {
  byId("status").textContent = message;
  byId("status").className = kind;
  if (message !== "Looking …") byId("movies").removeAttribute("aria-busy");
}

function fail(message) {
  cancel("recommend");
  clear();
  say(message, "error");
}

function failed(error) {
  const message = errorMessage(error);
  if (message) fail(message);
}

function clear() {
  byId("movies").replaceChildren();
  byId("examples").hidden = true;
  byId("alternatives").hidden = true;
}

/** The best known films, for those who see the page for the first time. */
async function showExamples() {
  const { titles } = await ask("titles");
  const buttons = titles.map((movie) => button(shortened(named(movie), 60), () => add(movie)));
  byId("examples").replaceChildren("For example:", ...buttons);
  byId("examples").hidden = subject().length > 0 || mode() === "text";
}

/** Which version of the model answers, and since when it exists. */
async function showVersion() {
  const { version, registered, movies } = await ask("version");
  state.version = version;
  const date = registered ? ` registered on ${DATE.format(new Date(registered))},` : "";
  byId("version").textContent =
    `Model version ${version},${date} ${movies.toLocaleString("en")} movies`;
}

// The address

/** Shows the question that the address holds. */
async function restore() {
  const parameters = readAddress();
  state.text = parameters.get("text") ?? "";
  byId("text").value = state.text;
  form.elements.mode.value = state.text ? "text" : "titles";
  state.liked = await withIds(moviesOf(parameters));
  showMode();
  await recommend({ replace: true });
}

function goBackOrForward() {
  clearTitle();
  restoreFilters(readAddress());
  restore().catch(failed);
}

/** The movies, with those that an address names by title alone looked up. */
async function withIds(movies) {
  const found = [];
  for (const movie of movies) found.push(movie.id ? movie : await meantMovie(movie.title));
  return found.filter(Boolean);
}

// Start

function tell() {
  state.text = byId("text").value.trim();
  recommend();
}

watchTitles({
  choose: like,
  removeLast: () => state.liked.length && unlike(state.liked.at(-1)),
  fail: failed,
});
watchFilters(recommend);
form.addEventListener("change", ({ target }) => {
  if (target.name !== "mode") return;
  showMode();
  recommend();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (mode() === "text") tell();
});
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) tell();
});
window.addEventListener("popstate", goBackOrForward);

try {
  const [{ genres }, { languages }] = await Promise.all([ask("genres"), ask("languages")]);
  fillFilters(genres, languages);
  restoreFilters(readAddress());
  await Promise.all([showVersion(), location.search ? restore() : nothingAsked()]);
} catch (error) {
  failed(error);
}
