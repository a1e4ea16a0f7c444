// The page: reads the question from the URL and shows passages and an answer.

import { Problem, postForEvents } from "./stream.js";
import { make, markSentence, passageItem, passageLink, seconds, showAnswer, skeleton } from "./view.js";

const byId = (id) => document.getElementById(id);
const list = byId("passages").querySelector("ol");
const KEY = "rag-api-key"; // in sessionStorage: deleted with the tab

const HEADINGS = { model: "Answer", quote: "Best sentence", nothing: "Nothing found" };

let defaultMode = ""; // of requests that name none; known from /about
let request = null; // the AbortController of the request in progress
const cache = new Map(); // events by URL, so that going back sends no request

// Questions

function queryOfUrl() {
  const url = new URLSearchParams(location.search);
  const value = (name) => (url.get(name) ?? "").trim();
  return { q: value("q"), title: value("title"), mode: value("mode") };
}

function navigate(q, title) {
  const url = new URLSearchParams({ q });
  if (title) url.set("title", title);
  if (chosenMode()) url.set("mode", chosenMode());
  const path = `/?${url}`;
  if (path !== location.pathname + location.search) history.pushState(null, "", path);
  cache.delete(location.search);
  show();
}

/** The mode that was chosen; empty for the default. */
function chosenMode() {
  if (byId("modes").hidden) return queryOfUrl().mode;
  return byId("mode").value === defaultMode ? "" : byId("mode").value;
}

/** Show the question of the URL and its answer. */
function show() {
  request?.abort();
  const { q, title, mode } = queryOfUrl();
  byId("q").value = q;
  byId("title").value = title;
  byId("mode").value = mode || defaultMode;
  byId("any-title").hidden = !title;
  document.title = q ? `${q} · Ask the passages` : "Ask the passages";
  document.body.classList.toggle("asked", q !== "");
  for (const id of ["problem", "answer", "passages"]) byId(id).hidden = true;
  byId("examples").hidden = q !== "" || !byId("examples").querySelector("li");
  if (!q) return announce("");
  const cached = cache.get(location.search);
  if (cached) return cached.forEach(([event, data]) => handlers[event](data, cached));
  ask(q, title, mode);
}

async function ask(q, title, mode) {
  const controller = (request = new AbortController());
  const received = [];
  const url = location.search;
  showLoading();
  try {
    const body = { question: q, ...(title && { filter: { title } }), ...(mode && { mode }) };
    for await (const [event, data] of postForEvents("/ask", body, { key: sessionStorage.getItem(KEY), signal: controller.signal })) {
      if (controller.signal.aborted) return;
      if (event === "error") throw new Problem(data);
      if (!(event in handlers)) continue;
      received.push([event, data]);
      handlers[event](data, received);
    }
    if (received.at(-1)?.[0] !== "done") throw new Problem({ title: "Interrupted", detail: "The response ended before the answer was complete." });
    cache.set(url, received);
  } catch (error) {
    if (!controller.signal.aborted) showProblem(error);
  } finally {
    if (request === controller) endLoading();
  }
}

function showLoading() {
  announce("Searching");
  byId("stop").hidden = false;
  byId("form").querySelector("[type=submit]").hidden = true;
  byId("answer").hidden = false;
  byId("answer-text").replaceChildren(skeleton());
  byId("sources").replaceChildren();
  byId("passages").hidden = false;
  byId("times").textContent = "";
  list.replaceChildren(...Array.from({ length: 2 }, () => make("li", { class: "card" }, skeleton())));
}

function endLoading() {
  request = null;
  byId("stop").hidden = true;
  byId("form").querySelector("[type=submit]").hidden = false;
  byId("answer-text").removeAttribute("aria-busy");
}

byId("stop").addEventListener("click", () => {
  request.abort();
  endLoading();
  for (const waiting of document.querySelectorAll(".skeleton")) waiting.closest("li, section").hidden = true;
  announce("Stopped");
  byId("q").focus();
});

// Events of the response

const answerOf = (received) => received.filter(([event]) => event === "token").map(([, { text }]) => text).join("");
const passagesOf = (received) => received[0][1].passages;

const handlers = {
  passages({ passages, mode, seconds: elapsed }) {
    const top = passages[0]?.score;
    byId("passages").hidden = passages.length === 0;
    const onTitle = queryOfUrl().title ? null : (title) => navigate(queryOfUrl().q, title);
    list.replaceChildren(...passages.map((found) => passageItem(found, top, mode, onTitle)));
    byId("passages-heading").textContent = passages.length === 1 ? "1 passage" : `${passages.length} passages`;
    byId("times").textContent = `found in ${seconds(elapsed)}`;
    const listed = new Set([...byId("titles").children].map((option) => option.value));
    for (const { title } of passages) if (title && !listed.has(title) && listed.add(title)) byId("titles").append(make("option", { value: title }));
    announce(`${byId("passages-heading").textContent} found in ${seconds(elapsed)}`);
    byId("answer").hidden = false;
    byId("answer-text").setAttribute("aria-busy", "true");
    byId("answer-text").replaceChildren(...(request ? [skeleton()] : []));
  },

  token(_, received) {
    const target = byId("answer-text");
    if (target.querySelector(".skeleton, blockquote")) target.replaceChildren();
    showAnswer(target, answerOf(received), passagesOf(received).length);
  },

  marks({ marks }, received) {
    marks.forEach((found, order) => {
      const text = byId(`passage-${found.rank}`).querySelector(".text");
      markSentence(text, passagesOf(received)[found.rank - 1].text, found, order === 0);
    });
  },

  done({ answers, sources, seconds: elapsed }, received) {
    byId("answer-text").removeAttribute("aria-busy");
    byId("answer-heading").textContent = HEADINGS[answers];
    if (answers === "quote") byId("answer-text").replaceChildren(make("blockquote", {}, answerOf(received)));
    if (answers === "nothing") byId("answer-text").replaceChildren(nothingFound(received[0][1].warnings));
    byId("sources").replaceChildren(
      ...sources.map((rank) => {
        const source = passageLink(rank, `${rank} · ${passagesOf(received)[rank - 1].title || "Untitled"}`);
        source.className = "source";
        return source;
      }),
    );
    byId("times").textContent = `found in ${seconds(elapsed.search)}` + (elapsed.answer === undefined ? "" : `, answered in ${seconds(elapsed.total)}`);
  },
};

function nothingFound(warnings) {
  const { title } = queryOfUrl();
  if (warnings.length) return warnings.join(" ");
  return title ? `No passage has exactly the title “${title}”.` : "No passage was found.";
}

function showProblem(problem) {
  if (!(problem instanceof Problem)) {
    console.error(problem);
    problem = new Problem({ detail: "The page could not display the response." });
  }
  for (const waiting of document.querySelectorAll(".skeleton")) waiting.closest("li, section").hidden = true;
  if (!list.querySelector(".passage")) byId("passages").hidden = true;
  if (problem.status === 401) problem = keyProblem();
  const card = byId("problem");
  card.hidden = false;
  card.querySelector("h2").textContent = problem.title;
  card.querySelector("p").textContent = problem.detail;
  byId("key-form").hidden = problem.status !== 401;
  byId("again").hidden = problem.status === 401 || problem.status === 422;
  if (problem.status === 401) {
    sessionStorage.removeItem(KEY);
    byId("key").focus();
  }
  announce("");
}

function keyProblem() {
  const [title, detail] = sessionStorage.getItem(KEY)
    ? ["Wrong API key", "The key is wrong. Enter the key that you got from the operator of this page."]
    : ["API key needed", "Enter the key that you got from the operator of this page."];
  return new Problem({ title, detail, status: 401 });
}

const announce = (text) => void (byId("status").textContent = text);

// User input

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const q = byId("q").value.trim();
  if (q) navigate(q, byId("title").value.trim());
});

byId("q").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("form").requestSubmit();
});

byId("any-title").addEventListener("click", () => {
  byId("title").value = "";
  navigate(queryOfUrl().q, "");
  byId("q").focus();
});

byId("mode").addEventListener("change", () => {
  const { q, title } = queryOfUrl();
  if (q) navigate(q, title);
});

byId("again").addEventListener("click", () => {
  introduce();
  byId("q").focus();
  show();
});

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, byId("key").value);
  byId("key").value = "";
  byId("q").focus();
  introduce();
  show();
});

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    byId("q").select();
  }
});

document.addEventListener("click", (event) => {
  const anchor = event.target.closest('a[href^="#passage-"]');
  if (anchor) {
    event.preventDefault(); // the URL holds the question
    const target = byId(anchor.hash.slice(1));
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: "nearest" });
    return;
  }
  const example = event.target.closest("#examples a");
  if (example && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    navigate(new URLSearchParams(example.search).get("q"), "");
  }
});

addEventListener("popstate", show);

// Start

async function introduce() {
  const key = sessionStorage.getItem(KEY);
  const response = await fetch("/about", { headers: key ? { Authorization: `Bearer ${key}` } : {} }).catch(() => null);
  if (!response?.ok) return;
  const about = await response.json();
  byId("collection").textContent = about.collection;
  byId("q").maxLength = about.question_characters;
  defaultMode = about.mode;
  byId("modes").hidden = about.modes.length < 2;
  byId("mode").value = queryOfUrl().mode || defaultMode;
  byId("add-bm25").hidden = about.modes.length !== 1;
  byId("add-bm25").querySelector("span").textContent = about.collection;
  const items = about.examples.map((question) => make("li", {}, make("a", { href: `/?${new URLSearchParams({ q: question })}` }, question)));
  byId("examples").querySelector("ul").replaceChildren(...items);
  byId("examples").hidden = queryOfUrl().q !== "" || items.length === 0;
}

introduce();
show();
if (!queryOfUrl().q) byId("q").focus();
