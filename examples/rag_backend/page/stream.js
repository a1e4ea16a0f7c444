// Server-sent events in response to a POST; EventSource supports GET only.

/** An error with the problem details of the back end. */
export class Problem extends Error {
  constructor({ title = "Something went wrong", detail = "", status = 0 }, retryAfter = null) {
    super(detail);
    Object.assign(this, { title, detail, status, retryAfter });
  }
}

/** Post to `url` and yield [event, data] as they arrive. Throws a Problem. */
export async function* postForEvents(url, body, { key, signal }) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Problem({
      title: "No connection",
      detail: "The back end cannot be reached. Check that it is running and that you are online.",
    });
  }
  if (!response.ok) {
    const details = await response.json().catch(() => ({ title: response.statusText }));
    throw new Problem({ status: response.status, ...details }, response.headers.get("Retry-After"));
  }
  yield* parse(response.body.pipeThrough(new TextDecoderStream()), signal);
}

async function* parse(stream, signal) {
  const reader = stream.getReader();
  let buffer = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      buffer += value;
      const blocks = buffer.split("\n\n");
      buffer = blocks.pop();
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
    throw new Problem({ title: "Interrupted", detail: "The connection broke before the answer was complete." });
  }
}
