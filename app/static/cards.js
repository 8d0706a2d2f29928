// A recommended movie with its closeness and its explanation.

import { button, element, named, shortened } from "./dom.js";

const SHORT = 240; // characters of an overview on a card
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

/** A list item; `onAdd` is called where the movie is added to the question. */
export function card(movie, onAdd) {
  const year = element("span", { class: "year" }, String(movie.year ?? ""));
  const label = `Add ${named(movie)} to my titles`;
  const add = button("Add to my titles", onAdd, { class: "use", "aria-label": label });
  return element(
    "li",
    { class: "movie" },
    element("h2", {}, movie.title, " ", year),
    element("p", { class: "closeness" }, movie.closeness),
    element("p", { class: "genres" }, movie.genres.join(", ") || "No genre known"),
    element("p", { class: "overview" }, shortened(movie.overview, SHORT)),
    element("div", { class: "more" }, explanation(movie), add),
  );
}

function explanation({ why, score, closeness }) {
  const reasons = element("dl");
  for (const [name, values] of Object.entries(inCommon(why))) {
    if (values.length) reasons.append(...row(name, values.join(", ")));
  }
  reasons.append(...row("Score", `${score.toFixed(3)}, ${closeness}`));
  const hint = element("p", { class: "hint" }, "Contribution of each feature to the score");
  const shares = Object.entries(why.shares).filter(([, value]) => value > MIN_SHARE * score);
  shares.sort(([, one], [, other]) => other - one);
  const bars = element("dl", { class: "shares" });
  for (const [name, value] of shares) bars.append(...row(SHARES[name] ?? name, bar(value, score)));
  return element("details", {}, element("summary", {}, "Why this one"), reasons, hint, bars);
}

/** What a movie shares with the question. */
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
function bar(value, score) {
  const filled = element("span");
  filled.style.width = `${Math.max(0, Math.min(1, value / score)) * 100}%`;
  const track = element("span", { class: "track", "aria-hidden": "true" }, filled);
  return element("span", { class: "share" }, track, element("b", {}, value.toFixed(3)));
}
