"use strict";
// Texts are set as text, never as markup: an answer may hold anything.
const { arms, seeds, colours, questions, pictures } = JSON.parse(document.getElementById("data").textContent);
const AT_ONCE = 30, LONGEST = 400;
const filter = document.getElementById("filter"), cards = document.getElementById("cards"), more = document.getElementById("more");
let matching = [], numShown = 0;

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function folded(text, whenEmpty = "") {
  const characters = Array.from(text);
  const made = element("span", "text", characters.slice(0, LONGEST).join("") || whenEmpty);
  if (characters.length <= LONGEST) return made;
  const all = element("button", "all", `show all ${characters.length.toLocaleString("en")} characters`);
  all.type = "button";
  all.onclick = () => {
    made.closest(".card").focus();
    made.textContent = text;
  };
  made.append(" … ", all);
  return made;
}

function armName(index) {
  const made = element("span", "arm", arms[index]);
  made.style.setProperty("--arm", colours[index]);
  return made;
}

const inWords = (score) => (score === 1 ? "right ✓" : score === 0 ? "wrong ✗" : `score ${score.toFixed(2)}`);

function said(answer, names) {
  const [text, read, score] = answer;
  const made = element("div", `said ${score === 1 ? "full" : score === 0 ? "zero" : ""}`);
  if (seeds.length > 1) made.append(element("span", "by", `${names.join(", ")}: `));
  made.append(folded(text, "(nothing)"), " ", element("span", "verdict-mark", inWords(score)));
  if (read === "") made.append(element("p", "read", "nothing was read from it"));
  else if (read.toLowerCase() !== text.trim().toLowerCase()) made.append(element("p", "read", "read as ", folded(read)));
  return made;
}

function summary(given) {
  const scores = given.answers.map(([, , score]) => score);
  const isRightOrWrong = scores.every((score) => score === 0 || score === 1);
  if (isRightOrWrong) return `${scores.filter((score) => score === 1).length} of ${seeds.length} seeds right`;
  return `mean score ${given.score.toFixed(2)}`;
}

function answersOf(given, index) {
  const bySaid = new Map();
  given.answers.forEach((answer, seed) => {
    const key = JSON.stringify(answer);
    bySaid.set(key, [...(bySaid.get(key) || []), seeds[seed]]);
  });
  const name = element("dt", "", armName(index));
  if (seeds.length > 1) name.append(element("span", "score", summary(given)));
  return [name, element("dd", "", ...[...bySaid].map(([key, names]) => said(JSON.parse(key), names)))];
}

function pictureOf(place) {
  if (place === null) return element("span", "none", "no picture");
  const image = element("img");
  image.src = pictures[place];
  image.alt = "picture of the question; press to enlarge";
  image.loading = "lazy";
  const button = element("button", "", image);
  button.type = "button";
  button.setAttribute("aria-pressed", "false");
  button.onclick = () => button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") === "false"));
  return button;
}

function cardOf(question) {
  const card = element("li", question.images.length ? "card" : "card bare");
  card.tabIndex = -1;
  if (question.images.length) {
    const several = question.images.length > 1 ? "shown several" : "shown";
    card.append(element("div", several, ...question.images.map(pictureOf)));
  }
  const kind = element("p", "kind");
  question.outcomes.forEach((outcome, index) => {
    const decided = outcome === "won" || outcome === "lost" ? outcome : "";
    kind.append(element("span", `outcome ${decided}`, arms.length > 2 ? `${arms[index + 1]} ${outcome}` : outcome));
  });
  kind.append([question.benchmark, question.category, question.id].filter(Boolean).join(" · "));
  const asked = element("p", "question", folded(question.question, "(no question)"));
  const reference = element("p", "reference", "right: ", folded(question.reference, "(none)"));
  const given = element("dl", "given", ...question.given.flatMap(answersOf));
  card.append(element("div", "what", kind, asked, reference, given));
  return card;
}

function showMore() {
  cards.append(...matching.slice(numShown, numShown + AT_ONCE).map(cardOf));
  numShown = Math.min(numShown + AT_ONCE, matching.length);
  more.hidden = numShown === matching.length;
  more.textContent = `show more (${matching.length - numShown} left)`;
}

const searched = questions.map((question) => [
  question.question, question.reference, question.id, ...question.given.flatMap((given) => given.answers.flat()),
].join("\n").toLowerCase());

function apply() {
  const chosen = new FormData(filter);
  const outcomes = chosen.getAll("outcome"), arm = chosen.get("arm");
  const words = chosen.get("text").toLowerCase().split(/\s+/).filter(Boolean);
  matching = questions.filter((question, index) =>
    (!chosen.get("benchmark") || question.benchmark === chosen.get("benchmark")) &&
    (!chosen.get("category") || question.category === chosen.get("category")) &&
    (arm === "" ? question.outcomes : [question.outcomes[arm]]).some((outcome) => outcomes.includes(outcome)) &&
    words.every((word) => searched[index].includes(word)));
  cards.replaceChildren();
  numShown = 0;
  showMore();
  document.getElementById("found").textContent =
    `${matching.length.toLocaleString("en")} of ${questions.length.toLocaleString("en")} questions.`;
}

function offerCategories() {
  const benchmark = filter.elements.benchmark.value;
  const those = questions.filter((question) => !benchmark || question.benchmark === benchmark);
  const names = [...new Set(those.map((question) => question.category).filter(Boolean))].sort();
  filter.elements.category.replaceChildren(new Option("all", ""), ...names.map((name) => new Option(name)));
}

function step(by) {
  const shown = [...cards.children];
  const at = shown.findIndex((card) => card.contains(document.activeElement));
  if (at + by === shown.length && !more.hidden) showMore();
  const next = cards.children[Math.max(0, at + by)];
  if (next) next.focus();
}

filter.addEventListener("input", (event) => {
  if (event.target.name === "benchmark") offerCategories();
  apply();
});
filter.addEventListener("submit", (event) => event.preventDefault());
more.addEventListener("click", showMore);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target.matches("input[type=search], select");
  if (event.key === "Escape" && isTyping) event.target.blur();
  if (isTyping) return;
  if (event.key === "/") { event.preventDefault(); filter.elements.text.focus(); }
  if (event.key === "j") step(1);
  if (event.key === "k") step(-1);
});
offerCategories();
apply();
