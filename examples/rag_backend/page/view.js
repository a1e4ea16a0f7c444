// Builds parts of the page. Text of passages and answers only ever becomes text nodes, never markup.

/** Create an element with attributes and children; strings become text nodes. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const skeleton = () =>
  make("div", { class: "skeleton", "aria-hidden": "true" }, ...Array.from({ length: 4 }, () => make("i")));

export const seconds = (value) => (value < 1 ? `${Math.max(1, Math.round(value * 1000))} ms` : `${value.toFixed(1)} s`);

const SCORES = {
  dense: "Raw inner product with the question",
  bm25: "BM25: the sum of the weights of the question's words",
  hybrid: "Vectors and words compared, both scores normalised and added",
};

/** Build one passage; `top` is the best score, for the gauge, and `mode` says what scores mean. */
export function passageItem(found, top, mode, onTitle) {
  const gauge = make("i");
  gauge.style.width = `${Math.min(100, Math.max(2, (100 * found.score) / (top || 1)))}%`;
  const text = make("p", { class: "text" }, found.text);
  const article = make(
    "article",
    { class: "card passage", id: `passage-${found.rank}`, tabindex: "-1" },
    make(
      "header",
      {},
      make("span", { class: "rank" }, make("span", { class: "hidden" }, "Passage "), String(found.rank)),
      make("h3", {}, found.title || "Untitled"),
      make(
        "span",
        { class: "score", title: SCORES[mode] },
        make("span", {}, `score ${found.score.toFixed(4)}`),
        make("span", { class: "gauge", "aria-hidden": "true" }, gauge),
      ),
    ),
    text,
    footer(found, onTitle),
  );
  return make("li", {}, article);
}

function footer(found, onTitle) {
  const source = found.metadata.source ?? found.metadata.url;
  const sourceNode = source === undefined ? null : make("span", {}, "Source ", link(String(source)));
  const only = found.title && onTitle ? make("button", { class: "plain", type: "button" }, "Only this title") : null;
  only?.setAttribute("aria-label", `Only this title: ${found.title}`);
  only?.addEventListener("click", () => onTitle(found.title));
  return make("footer", {}, make("span", {}, `Id ${found.id}`), sourceNode, only);
}

/** Show a web address as a link, anything else as text. */
function link(source) {
  return /^https?:\/\//i.test(source) ? make("a", { href: source, rel: "noopener noreferrer" }, source) : source;
}

/** Show the text of a passage with one sentence marked; offsets count code points. */
export function markSentence(paragraph, text, { start, end }, best) {
  const characters = Array.from(text);
  const part = (from, to) => characters.slice(from, to).join("");
  paragraph.replaceChildren(
    part(0, start),
    make("mark", { class: best ? "best" : undefined }, part(start, end)),
    part(end),
  );
}

/** Show the answer so far, with its citations [n] as links to the passages; unchanged nodes stay. */
export function showAnswer(target, answer, passages) {
  answer.split(/(\[\d+\])/).forEach((part, order) => {
    const existing = target.childNodes[order];
    if (existing?.textContent === part) return;
    const number = Number(/^\[(\d+)\]$/.exec(part)?.[1]);
    const node = number >= 1 && number <= passages ? passageLink(number, part) : document.createTextNode(part);
    if (existing) existing.replaceWith(node);
    else target.append(node);
  });
}

export const passageLink = (rank, text) => make("a", { href: `#passage-${rank}` }, text);
