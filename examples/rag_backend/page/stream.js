// Server-sent events of a POST: what EventSource does for GET alone.

/** What the back end refused, as it told it. */
export class Problem extends Error {
  constructor({ title = "Something went wrong", detail = "", status = 0 }, retryAfter = null) {
    super(detail);
    Object.assign(this, { title, detail, status, retryAfter });
  }
}

/** Ask `url`, and yield [event, data] as they come. Throws a Problem. */
export async function* events(url, body, { key, signal }) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Problem({
      title: "No answer",
      detail: "The back end cannot be reached. Is it running, and are you online?",
    });
  }
  if (!response.ok) {
    const told = await response.json().catch(() => ({ title: response.statusText }));
    throw new Problem({ status: response.status, ...told }, response.headers.get("Retry-After"));
  }
  yield* parse(response.body.pipeThrough(new TextDecoderStream()), signal);
}

async function* parse(stream, signal) {
  const reader = stream.getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = { event: "message", data: "" };
        for (const line of block.split("\n")) {
          const at = line.indexOf(": ");
          if (at > 0) fields[line.slice(0, at)] = line.slice(at + 2);
        }
        if (fields.data) yield [fields.event, JSON.parse(fields.data)];
      }
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Problem({ title: "Cut off", detail: "The connection broke before the answer was done." });
  }
}
