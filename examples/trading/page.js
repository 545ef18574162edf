// client.ts
function market(base, options = {}) {
  return new Client(base + "/market", { key: ["do"], id: ["id"], json: true, events: { trade: (m) => is(m, { cents: 0, count: 0 }) } }, options);
}
var GatewayError = class extends Error {
  constructor(code, message, sent, id, retryAfterMs) {
    super(message);
    this.code = code;
    this.sent = sent;
    this.id = id;
    this.retryAfterMs = retryAfterMs;
  }
};
var at = (value, path = []) => path.reduce((v, k) => v?.[k], value);
var put = (target, [k, ...rest], value) => ({ ...target, [k]: rest.length ? put(at(target, [k]), rest, value) : value });
var write = JSON.stringify;
var is = (message, want) => Object.entries(want).every(([k, v]) => v ? v.includes(at(message, [k])) : at(message, [k]) !== void 0);
var Client = class {
  #url;
  #wire;
  #options;
  #socket;
  #calls = /* @__PURE__ */ new Map();
  #listeners = /* @__PURE__ */ new Set();
  #next = 1;
  #attempt = 0;
  #ended;
  #why = "offline";
  /** Of the pause; while the connection is open, until its pauses begin anew. */
  #timer;
  constructor(url, wire, options = {}) {
    this.#url = url;
    this.#wire = wire;
    this.#options = options;
    void this.#connect();
  }
  /** Asks for one reply. Throws a `GatewayError`. */
  async request(key, ...rest) {
    const result = await this.result(key, ...rest);
    if (result.ok) return result.value;
    throw result.error;
  }
  /** Asks for one reply. An error is a value, with one of the codes of the route. */
  result(key, ...[body, options = {}]) {
    return new Promise((resolve) => {
      const take = (value) => resolve({ ok: true, value });
      const call = this.#call(key, body, options, options.timeoutMs ?? this.#options.timeoutMs ?? 3e4, (value) => {
        call.stop();
        take(value);
      }, (error) => {
        if (error.code === "client_timed_out" && error.sent && this.#wire.maybe?.includes(key)) take(void 0);
        else resolve({ ok: false, error });
      });
    });
  }
  /**
   * Asks for any number of replies, once the iteration begins. It ends when you leave the loop, or with a `GatewayError`:
   * the gateway does not say that there are no more. Messages wait in memory until they are taken.
   */
  async *stream(key, ...[body, options = {}]) {
    const { rpc, stop } = this.#wire;
    const queue = [];
    let failure;
    let wake = () => {
    };
    const call = this.#call(key, body, options, options.timeoutMs, (value) => {
      if (rpc && !call.under) this.#calls.set(call.under = value, call);
      else queue.push(value);
      wake();
    }, (error) => {
      failure = error;
      wake();
    });
    try {
      for (; ; ) {
        while (queue.length) yield queue.shift();
        if (failure) throw failure;
        await new Promise((done) => wake = done);
      }
    } finally {
      call.stop();
      if (call.on) {
        options.cancel?.(call.id);
        if (stop && call.under) this.#post(this.#write(stop, [call.under])[1]);
      }
    }
  }
  /**
   * Sends a message, and waits for nothing. Returns its id; `undefined` if there is no connection: then nothing is sent.
   */
  send(key, ...[body]) {
    const [id, text] = this.#write(key, body);
    return this.#post(text) ? id : void 0;
  }
  /** Sends a message on a channel without keys, and waits for nothing. `false` if there is no connection: then nothing is sent. */
  post(message) {
    return this.#post(this.#wire.plain ? message : write(message));
  }
  /**
   * Calls the listener with every message that no request waits for and that looks like this event: it has the members
   * that all of them have. Returns a function that removes the listener.
   */
  on(event, listener) {
    const entry = [event, listener];
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }
  /** Ends the connection for good. What waits fails: with `disconnected` if it was sent, with `not_sent` if not. */
  close(code = 1e3, reason = "") {
    this.#socket?.close(code, reason);
    this.#lost(code, reason, true);
  }
  #post(data) {
    const isOpen = this.#socket?.readyState === 1;
    if (isOpen) this.#socket.send(data);
    return isOpen;
  }
  #write(key, body) {
    const { rpc, text, key: place, id: places } = this.#wire;
    const next = this.#next++;
    const id = text ? `${next}` : next;
    if (rpc) return [id, write({ jsonrpc: "2.0", method: key, params: body, id })];
    const keyed = put(body, place, key);
    return [id, write(places ? put(keyed, places, id) : keyed)];
  }
  #call(key, body, { signal, idempotent }, ms, take, end) {
    const [id, text] = this.#write(key, body);
    const abort = () => call.fail("aborted", "given up");
    let timer;
    const call = {
      id,
      text,
      again: idempotent,
      sent: false,
      on: false,
      under: "",
      take,
      fail: (code, message, retryAfterMs) => {
        call.stop();
        end(new GatewayError(code, message, call.sent, id, retryAfterMs));
      },
      stop: () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.#calls.delete(`${id}`);
        this.#calls.delete(call.under);
      }
    };
    if (this.#ended) call.fail("not_sent", this.#why);
    else if (signal?.aborted) abort();
    else {
      signal?.addEventListener("abort", abort);
      if (ms < 2 ** 31) timer = setTimeout(() => call.fail("client_timed_out", call.sent ? "no reply" : this.#why), ms);
      this.#calls.set(`${id}`, call);
      this.#flush();
    }
    return call;
  }
  /** Sends what has not been sent on this connection. */
  #flush() {
    for (const call of this.#calls.values()) if (!call.on && this.#post(call.text)) call.sent = call.on = true;
  }
  async #connect() {
    const {
      query,
      protocols,
      onState,
      WebSocket: Made = globalThis.WebSocket
    } = this.#options;
    onState?.({ is: "connecting" });
    try {
      const search = `${new URLSearchParams(JSON.parse(write(await query?.() ?? {})))}`;
      const offered = await protocols?.();
      if (this.#ended) return;
      const socket = this.#socket = new Made(this.#url + (search && `?${search}`), offered);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        this.#timer = setTimeout(() => this.#attempt = 0, this.#options.pausesMs?.[2] ?? 3e4);
        onState?.({ is: "open" });
        this.#flush();
      };
      socket.onmessage = ({ data }) => this.#ended || this.#take(data);
      socket.onclose = ({ code, reason }) => this.#lost(code, reason);
      socket.onerror = () => {
      };
    } catch (error) {
      this.#lost(0, `${error}`);
    }
  }
  #lost(code, reason, isFinal) {
    const { pausesMs: [first, busy, longest] = [500, 5e3, 3e4], onState, reconnect } = this.#options;
    if (this.#ended) return;
    code ||= 1006;
    clearTimeout(this.#timer);
    this.#socket = void 0;
    this.#why = `disconnected: ${code} ${reason}`;
    this.#ended = isFinal || !(reconnect?.(code, reason) ?? (code !== 1e3 && code !== 4403));
    for (const call of this.#calls.values()) {
      call.on = false;
      if (this.#ended || call.sent && !call.again) {
        call.fail(call.sent ? "disconnected" : "not_sent", this.#why + (call.sent ? "; it may have been carried out" : ""));
      } else {
        this.#calls.delete(call.under);
        call.under = "";
      }
    }
    if (this.#ended) return onState?.({ is: "closed", code, reason });
    const least = [1012, 1013, 4429].includes(code) ? busy : 0;
    const ms = Math.random() * Math.min(longest, Math.max(least, first * 2 ** this.#attempt++));
    onState?.({ is: "waiting", ms, code, reason });
    this.#timer = setTimeout(() => this.#connect(), ms);
  }
  #take(message) {
    const { id, errorId = id, rpc, json, events } = this.#wire;
    try {
      if (json) message = JSON.parse(message);
    } catch {
    }
    const pushed = rpc && at(message, ["params"]);
    const part = pushed || message;
    const error = at(part, ["error"]);
    const fault = rpc ? at(error, ["data"]) : error;
    const code = at(fault, ["code"]);
    const own = at(part, pushed ? ["subscription"] : code ? errorId : id);
    const call = this.#calls.get(`${own}`);
    if (typeof code === "string") {
      const text = `${at(error, ["message"])}`;
      const later = at(fault, ["retry_after_ms"]);
      if (!call) this.#options.onError?.(new GatewayError(code, text, true, own, later));
      else if (code !== "closing" || !call.again) {
        call.on = false;
        call.fail(code, text, later);
      }
    } else if (call) call.take(rpc ? at(part, ["result"]) : message);
    else {
      let isTaken = false;
      for (const [event, listener] of this.#listeners) {
        if (!events[event](message)) continue;
        isTaken = true;
        listener(message);
      }
      if (!isTaken) this.#options.onMessage?.(message);
    }
  }
};

// page.ts
var byId = (id) => document.getElementById(id);
var number = (id) => byId(id).valueAsNumber;
var euros = (cents) => (cents / 100).toFixed(2);
function say(text) {
  const line = document.createElement("li");
  line.textContent = text;
  byId("lines").prepend(line);
}
var client = market(location.origin.replace("http", "ws"), {
  onState: ({ is: is2 }) => {
    byId("state").textContent = is2;
    byId("state").className = is2;
  }
});
client.on("trade", ({ count, cents }) => say(`somebody got ${count} at ${euros(cents)}`));
byId("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  const limit = Math.round(number("limit") * 100);
  const bought = await client.result("order.place", { count: number("count"), limit });
  if (bought.ok) say(`you got ${bought.value.count} for ${euros(bought.value.paid)}`);
  else if (bought.error.code === "too_dear") say(`too dear: ${bought.error.message}`);
  else say(`${bought.error.code}: ${bought.error.message}`);
});
var ends = ["disconnected", "interrupted", "closing"];
for (; ; ) {
  try {
    for await (const { cents } of client.stream("prices")) byId("price").textContent = euros(cents);
  } catch (error) {
    if (!(error instanceof GatewayError && ends.includes(error.code))) throw error;
    await new Promise((done) => setTimeout(done, 500));
  }
}
