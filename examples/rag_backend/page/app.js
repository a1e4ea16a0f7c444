// The page: a question in the URL, what comes back for it on the screen.

import { Problem, events } from "./stream.js";
import { make, mark, passage, reference, seconds, showAnswer, skeleton } from "./view.js";

const at = (id) => document.getElementById(id);
const list = at("passages").querySelector("ol");
const KEY = "rag-api-key"; // in sessionStorage: gone with the tab

const HEADINGS = { model: "Answer", quote: "Best sentence", nothing: "Nothing found" };

let asking = null; // the AbortController of the question under way
const answered = new Map(); // what the URLs of this visit showed, so that going back asks nobody

// Asking

function wanted() {
  const url = new URLSearchParams(location.search);
  return { q: (url.get("q") ?? "").trim(), title: (url.get("title") ?? "").trim() };
}

function go(q, title) {
  const url = new URLSearchParams({ q });
  if (title) url.set("title", title);
  const address = `/?${url}`;
  if (address !== location.pathname + location.search) history.pushState(null, "", address);
  answered.delete(location.search);
  show();
}

/** Show what the URL says. */
function show() {
  asking?.abort();
  const { q, title } = wanted();
  at("q").value = q;
  at("title").value = title;
  at("any-title").hidden = !title;
  document.title = q ? `${q} · Ask the passages` : "Ask the passages";
  document.body.classList.toggle("asked", q !== "");
  for (const id of ["problem", "answer", "passages"]) at(id).hidden = true;
  at("examples").hidden = q !== "" || !at("examples").querySelector("li");
  if (!q) return say("");
  const known = answered.get(location.search);
  if (known) return known.forEach(([event, data]) => receive[event](data, known));
  ask(q, title);
}

async function ask(q, title) {
  const mine = (asking = new AbortController());
  const seen = [];
  const where = location.search;
  begin();
  try {
    const body = { question: q, ...(title && { filter: { title } }) };
    for await (const [event, data] of events("/ask", body, { key: sessionStorage.getItem(KEY), signal: mine.signal })) {
      if (mine.signal.aborted) return;
      if (event === "error") throw new Problem(data);
      if (!(event in receive)) continue;
      seen.push([event, data]);
      receive[event](data, seen);
    }
    if (seen.at(-1)?.[0] !== "done") throw new Problem({ title: "Cut off", detail: "The answer ended before it was done." });
    answered.set(where, seen);
  } catch (error) {
    if (!mine.signal.aborted) fail(error);
  } finally {
    if (asking === mine) end();
  }
}

function begin() {
  say("Searching");
  at("stop").hidden = false;
  at("form").querySelector("[type=submit]").hidden = true;
  at("answer").hidden = false;
  at("answer-text").replaceChildren(skeleton());
  at("sources").replaceChildren();
  at("passages").hidden = false;
  at("times").textContent = "";
  list.replaceChildren(...Array.from({ length: 2 }, () => make("li", { class: "card" }, skeleton())));
}

function end() {
  asking = null;
  at("stop").hidden = true;
  at("form").querySelector("[type=submit]").hidden = false;
  at("answer-text").removeAttribute("aria-busy");
}

at("stop").addEventListener("click", () => {
  asking.abort();
  end();
  for (const waiting of document.querySelectorAll(".skeleton")) waiting.closest("li, section").hidden = true;
  say("Stopped");
  at("q").focus();
});

// What comes back

const answerOf = (seen) => seen.filter(([event]) => event === "token").map(([, { text }]) => text).join("");
const passagesOf = (seen) => seen[0][1].passages;

const receive = {
  passages({ passages, seconds: took }) {
    const top = passages[0]?.score;
    at("passages").hidden = passages.length === 0;
    const onTitle = wanted().title ? null : (title) => go(wanted().q, title);
    list.replaceChildren(...passages.map((found) => passage(found, top, onTitle)));
    at("passages-heading").textContent = passages.length === 1 ? "1 passage" : `${passages.length} passages`;
    at("times").textContent = `found in ${seconds(took)}`;
    const known = new Set([...at("titles").children].map((option) => option.value));
    for (const { title } of passages) if (title && !known.has(title) && known.add(title)) at("titles").append(make("option", { value: title }));
    say(`${at("passages-heading").textContent} found in ${seconds(took)}`);
    at("answer").hidden = false;
    at("answer-text").setAttribute("aria-busy", "true");
    at("answer-text").replaceChildren(...(asking ? [skeleton()] : []));
  },

  token(_, seen) {
    const place = at("answer-text");
    if (place.querySelector(".skeleton, blockquote")) place.replaceChildren();
    showAnswer(place, answerOf(seen), passagesOf(seen).length);
  },

  marks({ marks }, seen) {
    marks.forEach((found, order) => {
      const text = at(`passage-${found.rank}`).querySelector(".text");
      mark(text, passagesOf(seen)[found.rank - 1].text, found, order === 0);
    });
  },

  done({ answers, sources, seconds: took }, seen) {
    at("answer-text").removeAttribute("aria-busy");
    at("answer-heading").textContent = HEADINGS[answers];
    if (answers === "quote") at("answer-text").replaceChildren(make("blockquote", {}, answerOf(seen)));
    if (answers === "nothing") at("answer-text").replaceChildren(nothing());
    at("sources").replaceChildren(
      ...sources.map((rank) => {
        const source = reference(rank, `${rank} · ${passagesOf(seen)[rank - 1].title || "Untitled"}`);
        source.className = "source";
        return source;
      }),
    );
    at("times").textContent = `found in ${seconds(took.search)}` + (took.answer === undefined ? "" : `, answered in ${seconds(took.total)}`);
  },
};

function nothing() {
  const { title } = wanted();
  return title ? `No passage has exactly the title “${title}”.` : "No passage was found.";
}

function fail(problem) {
  if (!(problem instanceof Problem)) {
    console.error(problem);
    problem = new Problem({ detail: "The page could not show what came back." });
  }
  for (const waiting of document.querySelectorAll(".skeleton")) waiting.closest("li, section").hidden = true;
  if (!list.querySelector(".passage")) at("passages").hidden = true;
  const box = at("problem");
  box.hidden = false;
  box.querySelector("h2").textContent = problem.title;
  box.querySelector("p").textContent = problem.detail;
  at("key-form").hidden = problem.status !== 401;
  at("again").hidden = problem.status === 401 || problem.status === 422;
  if (problem.status === 401) at("key").focus();
  say("");
}

const say = (text) => void (at("status").textContent = text);

// What the user does

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const q = at("q").value.trim();
  if (q) go(q, at("title").value.trim());
});

at("q").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("form").requestSubmit();
});

at("any-title").addEventListener("click", () => {
  at("title").value = "";
  go(wanted().q, "");
  at("q").focus();
});

at("again").addEventListener("click", () => {
  at("q").focus();
  show();
});

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, at("key").value);
  at("key").value = "";
  at("q").focus();
  show();
});

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    at("q").select();
  }
});

document.addEventListener("click", (event) => {
  const anchor = event.target.closest('a[href^="#passage-"]');
  if (anchor) {
    event.preventDefault(); // the URL is the question's
    const there = at(anchor.hash.slice(1));
    there.focus({ preventScroll: true });
    there.scrollIntoView({ block: "nearest" });
    return;
  }
  const example = event.target.closest("#examples a");
  if (example && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    go(new URLSearchParams(example.search).get("q"), "");
  }
});

addEventListener("popstate", show);

// Beginning

async function introduce() {
  const response = await fetch("/about").catch(() => null);
  if (!response?.ok) return;
  const about = await response.json();
  at("collection").textContent = about.collection;
  at("q").maxLength = about.question_characters;
  const items = about.examples.map((question) => make("li", {}, make("a", { href: `/?${new URLSearchParams({ q: question })}` }, question)));
  at("examples").querySelector("ul").replaceChildren(...items);
  at("examples").hidden = wanted().q !== "" || items.length === 0;
}

introduce();
show();
if (!wanted().q) at("q").focus();
