// The filters: which movies may be listed, how many, how varied.

import { byId, calm, element } from "./dom.js";

const FIELDS = { from_year: "from-year", to_year: "to-year", language: "language" };
const DEFAULT_LIMIT = "10";
const MAX_LIMIT = 50;
const filters = byId("filters");
const slider = byId("diversity");

/** Listens to the filters; `onChange` is called once they rest. They are folded on a phone. */
export function watchFilters(onChange) {
  const changed = calm(onChange);
  filters.open = matchMedia("(min-width: 52.01rem)").matches;
  filters.addEventListener("change", ({ target }) => {
    exclude(target);
    showFilters();
    changed();
  });
  slider.addEventListener("input", () => {
    slider.dataset.moved = "yes";
    showFilters();
  });
  byId("form").addEventListener("reset", (event) => {
    event.preventDefault(); // a plain reset would also empty the question
    restoreFilters(new URLSearchParams());
    changed();
  });
}

/** Fills in what the catalogue has. */
export function fillFilters(genres, languages) {
  byId("genres").append(...checkboxes("genre", genres));
  byId("not-genres").append(...checkboxes("not_genre", genres));
  byId("language").append(...languageOptions(languages));
}

/** Query parameters of the filters that are set. */
export function filterPairs() {
  const inputs = [...filters.querySelectorAll(".pills input:checked")];
  const pairs = inputs.map((input) => [input.name, input.value]);
  for (const [name, id] of Object.entries(FIELDS)) {
    if (byId(id).value) pairs.push([name, byId(id).value]);
  }
  if (slider.dataset.moved) pairs.push(["diversity", slider.value]);
  return pairs;
}

/** Query parameters of the filters and of a length of the list that is not the usual one. */
export function listPairs() {
  const limit = byId("limit").value;
  return limit === DEFAULT_LIMIT ? filterPairs() : [...filterPairs(), ["limit", limit]];
}

/** Sets every filter as query parameters say. */
export function restoreFilters(parameters) {
  for (const input of filters.querySelectorAll(".pills input")) {
    input.checked = parameters.getAll(input.name).includes(input.value);
  }
  for (const [name, id] of Object.entries(FIELDS)) byId(id).value = parameters.get(name) ?? "";
  restoreLimit(parameters.get("limit"));
  slider.value = parameters.get("diversity") ?? "0";
  if (parameters.has("diversity")) slider.dataset.moved = "yes";
  else delete slider.dataset.moved;
  showFilters();
}

function restoreLimit(text) {
  const select = byId("limit");
  const limit = Number(text);
  const isValid = Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT;
  const value = isValid ? String(limit) : DEFAULT_LIMIT;
  const isListed = [...select.options].some((option) => option.value === value);
  if (!isListed) select.append(element("option", {}, value));
  select.value = value;
}

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
  for (const input of filters.querySelectorAll(`input[name="${other}"]`)) {
    if (input.value === changed.value) input.checked = false;
  }
}

function showFilters() {
  const count = filterPairs().length;
  byId("active").textContent = count ? `(${count} set)` : "";
  const value = slider.dataset.moved ? Number(slider.value).toFixed(1) : "as trained";
  byId("diversity-value").textContent = value;
  slider.setAttribute("aria-valuetext", value);
}

function languageOptions(codes) {
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
