// The runtime: a WebSocket that is opened again, and what waits for replies on it.

/** Any other text. Editors still offer those that are known. */
export type Other = string & Record<never, never>;
export type Id = number | string;
/**
 * `one`: a reply. `maybe`: a reply or nothing. `many`: any number. `none`: nothing. `loose`: replies without the id of
 * their request, which come as events. `follows`: groups are followed by it. `any`: not known.
 */
export type Kind = "one" | "maybe" | "many" | "none" | "loose" | "follows" | "any";
export interface Route { kind: Kind; takes: unknown; gives: unknown; codes: string }
/** What a channel has: routes by key, by the beginning of their keys, and for all other keys. */
export interface Channel {
  query: object; routes: object; prefixes: object; others: Route; events: object; posts: unknown;
}
type Prefix<C extends Channel> = keyof C["prefixes"] & string;
type Fits<R, K> = R extends { kind: K } ? true : false;
/** The keys of the routes of these kinds. */
export type Key<C extends Channel, K extends Kind = Kind> =
  | { [N in keyof C["routes"] & string]: Fits<C["routes"][N], K> extends true ? N : never }[keyof C["routes"] & string]
  | { [P in Prefix<C>]: Fits<C["prefixes"][P], K> extends true ? `${P}${string}` : never }[Prefix<C>]
  | ([C["others"]] extends [never] ? never : Fits<C["others"], K> extends true ? Other : never);
type Begun<C extends Channel, N> = { [P in Prefix<C>]: N extends `${P}${string}` ? C["prefixes"][P] : never }[Prefix<C>];
/** The route of a key. */
export type RouteOf<C extends Channel, N extends string> =
  N extends keyof C["routes"] ? C["routes"][N] : [Begun<C, N>] extends [never] ? C["others"] : Begun<C, N>;
type Of<R, P extends keyof Route> = R extends Record<P, infer V> ? V : never;
/** What a request with this key takes, what it gives, and the codes of its errors. */
export type Takes<C extends Channel, N extends string> = Of<RouteOf<C, N>, "takes">;
export type Gives<C extends Channel, N extends string> = Of<RouteOf<C, N>, "gives">;
export type Codes<C extends Channel, N extends string> = Of<RouteOf<C, N>, "codes"> & string;
/** A message without what the client adds: its key and its id. */
export type Without<T, P extends string[]> = T extends unknown
  ? P extends [infer K extends string, ...infer R extends string[]]
    ? R extends [] ? Omit<T, K>
      : K extends keyof T
        ? Omit<T, K> & ({} extends Without<T[K], R> ? { [N in K]?: Without<T[K], R> } : { [N in K]: Without<T[K], R> })
        : T
    : T
  : never;
type Rest<T, O> = {} extends T ? [body?: T, options?: O] : [body: T, options?: O];

/**
 * Errors of the client itself: the connection ended before the reply; the request was not sent; no reply within
 * `timeoutMs`; the caller's signal.
 */
export type ClientCode = "disconnected" | "not_sent" | "client_timed_out" | "aborted";
/** Why a request failed: `request` and `stream` throw it, `result` returns it. */
export class GatewayError<Code extends string = string> extends Error {
  /** Of the gateway or of the client. A gateway that is newer than this file may send others. */
  declare readonly code: Code | ClientCode;
  /**
   * Whether the request has left the client. If so, `disconnected`, `client_timed_out` and `aborted` do not say whether
   * it was carried out; if not, it was not.
   */
  declare readonly sent: boolean;
  /** The id of the request. */
  declare readonly id: unknown;
  /** When to ask again, if the gateway says so. */
  declare readonly retryAfterMs: number | undefined;
  constructor(code: Code | ClientCode, message: string, sent: boolean, id?: unknown, retryAfterMs?: number) {
    super(message);
    this.code = code;
    this.sent = sent;
    this.id = id;
    this.retryAfterMs = retryAfterMs;
  }
}
export type Result<T, Code extends string> = { ok: true; value: T } | { ok: false; error: GatewayError<Code> };
export type State =
  | { is: "connecting" }
  | { is: "open" }
  | { is: "waiting"; ms: number; code: number; reason: string }
  | { is: "closed"; code: number; reason: string };
export interface Options<C extends Channel = Channel> {
  /** The query of the URL. Called before each attempt to connect, so it may fetch a fresh token. */
  query?: () => C["query"] | Promise<C["query"]>;
  /** The subprotocols to offer; called before each attempt as well. */
  protocols?: () => string[] | Promise<string[]>;
  /** The deadline of requests, 30 s by default. Streams have none unless their call has one. */
  timeoutMs?: number;
  /**
   * The pause before the next attempt is random: up to `first` (500), doubled with each attempt since a connection was
   * open for `longest`, at most `longest` (30 000). After the close codes 1012 (restart), 1013 (try again later) and 4429
   * (too many) it is up to `busy` (5000) at least.
   */
  pausesMs?: [first: number, busy: number, longest: number];
  /** Whether to connect again after this close code. By default after all but 1000 (normal) and 4403 (not allowed). */
  reconnect?: (code: number, reason: string) => boolean;
  onState?: (state: State) => void;
  /** Errors that no request waits for: of messages that were sent with `send`, and of late ones. */
  onError?: (error: GatewayError) => void;
  /** Messages that no request waits for and no listener takes. */
  onMessage?: (message: unknown) => void;
  /** For platforms without a global `WebSocket`: that of npm's `ws` in Node before 22. */
  WebSocket?: new (url: string, protocols?: string[]) => { readonly readyState: number; close(code?: number, reason?: string): void };
}
export interface CallOptions {
  signal?: AbortSignal;
  timeoutMs?: number;
  /** It does no harm if the request is carried out twice: it is sent again after a lost connection and after `closing`. */
  idempotent?: boolean;
}
export interface StreamOptions extends CallOptions {
  /** Tells the gateway to stop, for instance with the `send` of another route; called when the iteration ends early. */
  cancel?: (id: Id) => void;
}
// Follow:
/** A member of a group. `info` is what the gateway says of it. */
export interface Member { connection: string; user?: string; info?: unknown }
/** What is told of a group that is followed; `in` tells which it is: `"data" in told`. */
export type Told =
  /** A message: JSON, or text as a string; or binary data. */
  | { group: string; position: string; data: unknown }
  | { group: string; position: string; base64: string }
  /**
   * Earlier messages are missing: fetch the state. It is also the first of all, unless `since` was given and everything
   * since then follows.
   */
  | { group: string; gap: true }
  /**
   * Who has come, and who has gone, by their `connection` or what it begins with; `unsure`: ask who is there. The client
   * itself says `unsure` when it is in the group again after a lost connection, and first of all if `since` was given:
   * nobody has told it who came and went meanwhile, and a question from before has no answer.
   */
  | { group: string; joined?: Member[]; left?: string[]; gone?: string; unsure?: true }
  /** Who is there, if you have asked. */
  | { group: string; members: Member[]; total: number; complete: boolean; next?: string };
export interface FollowOptions {
  /** The position of the last message that is known from before. */
  since?: string;
  signal?: AbortSignal;
}
interface Following {
  take(told: Record<string, unknown>): void;
  /** Once it is being left: when that is over. */
  gone?: Promise<void>;
}
// End.
/** How the messages of a channel are written. */
interface Wire {
  key?: string[]; id?: string[]; errorId?: string[];
  /** Whether ids are text. */
  text?: boolean;
  /** Whether messages to the client may be JSON, and whether `post` takes them as they are sent. */
  json?: boolean; plain?: boolean;
  maybe?: string[];
  /** Whether they are calls of JSON-RPC, and the method that ends a subscription. */
  rpc?: boolean; stop?: string;
  /** Whether a message looks like the event. */
  events: Record<string, (message: unknown) => boolean>;
}
interface Socket {
  readyState: number; binaryType: string;
  send(data: unknown): void; close(code?: number, reason?: string): void;
  onopen: () => void; onmessage: (event: { data: unknown }) => void; onclose: (event: { code: number; reason: string }) => void; onerror: () => void;
}
interface Call {
  id: Id; text: string; again: boolean | undefined;
  /** At all; on the connection that is open now, which has not answered. */
  sent: boolean; on: boolean;
  /** The id of its subscription, which looks like no id of a request. */
  under: string;
  take(value: unknown): void;
  fail(code: string, message: string, retryAfterMs?: number): void;
  stop(): void;
}
const at = (value: unknown, path: string[] = []): unknown => path.reduce((v, k) => (v as Record<string, unknown> | null | undefined)?.[k], value);
const put = (target: object, [k, ...rest]: string[], value: unknown): object =>
  ({ ...target, [k!]: rest.length ? put(at(target, [k!]) as object, rest, value) : value });
const write = JSON.stringify;
/** A segment of a path. The gateway refuses some, and a URL takes `..` for the segment before. */
export const segment = (value: string | number | boolean): string => {
  const text = encodeURIComponent(value);
  if (/^\.{0,2}$|%(2F|5C|00)/.test(text)) throw TypeError("bad path: " + text);
  return text;
};
/** Whether a message has these members, with one of these values if it is a list. */
export const is = (message: unknown, want: Record<string, 0 | unknown[]>): boolean =>
  Object.entries(want).every(([k, v]) => (v ? v.includes(at(message, [k])) : at(message, [k]) !== undefined));
// Follow:
/** Whether a message with a group is one of those that the document has. Of those that come unasked there are no other members. */
const isTold = (message: Record<string, unknown>): boolean => {
  const names = Object.keys(message).filter((name) => name !== "group");
  const has = (name: string, type: string) => typeof message[name] === type;
  return (
    (has("position", "string") &&
      (has("recovered", "boolean") ? has("missed", "number") : names.length === 2 && ("data" in message || has("base64", "string")))) ||
    has("unfollowed", "boolean") ||
    (Array.isArray(message.members) && has("total", "number") && has("complete", "boolean")) ||
    `${names}` === "gap" && message.gap === true ||
    (!!names[0] && names.every((name) =>
      name === "gone" ? has(name, "string")
        : name === "unsure" ? message[name] === true
        : /^(joined|left)$/.test(name) && Array.isArray(message[name])))
  );
};
// End.

/** A channel of the gateway. It connects at once, and again until it is closed. */
export class Client<C extends Channel> {
  #url: string;
  #wire: Wire;
  #options: Options<C>;
  #socket: Socket | undefined;
  #calls = new Map<string, Call>();
  #listeners = new Set<[string, (message: never) => void]>();
  // Follow:
  #groups = new Map<unknown, Following>();
  /** Those that nobody follows, and that the client may still be in: it cannot be told what it has missed. */
  #stale = new Set<string>();
  // End.
  #next = 1;
  #attempt = 0;
  #ended: boolean | undefined;
  #why = "offline";
  /** Of the pause; while the connection is open, until its pauses begin anew. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  constructor(url: string, wire: Wire, options: Options<C> = {}) {
    this.#url = url;
    this.#wire = wire;
    this.#options = options;
    void this.#connect();
  }
  /** Asks for one reply. Throws a `GatewayError`. */
  async request<N extends Key<C, "one" | "maybe" | "any">>(key: N, ...rest: Rest<Takes<C, N>, CallOptions>): Promise<Gives<C, N>> {
    const result = await this.result(key, ...rest);
    if (result.ok) return result.value;
    throw result.error;
  }
  /** Asks for one reply. An error is a value, with one of the codes of the route. */
  result<N extends Key<C, "one" | "maybe" | "any">>(
    key: N, ...[body, options = {}]: Rest<Takes<C, N>, CallOptions>
  ): Promise<Result<Gives<C, N>, Codes<C, N>>> {
    return new Promise((resolve) => {
      const take = (value: unknown) => resolve({ ok: true, value: value as Gives<C, N> });
      const call = this.#call(key, body, options, options.timeoutMs ?? this.#options.timeoutMs ?? 30_000, (value) => {
        call.stop();
        take(value);
      }, (error) => {
        // A route that may say nothing has said nothing.
        if (error.code === "client_timed_out" && error.sent && this.#wire.maybe?.includes(key)) take(undefined);
        else resolve({ ok: false, error: error as GatewayError<Codes<C, N>> });
      });
    });
  }
  /**
   * Asks for any number of replies, once the iteration begins. It ends when you leave the loop, or with a `GatewayError`:
   * the gateway does not say that there are no more. Messages wait in memory until they are taken.
   */
  async *stream<N extends Key<C, "many" | "any">>(
    key: N, ...[body, options = {}]: Rest<Takes<C, N>, StreamOptions>
  ): AsyncGenerator<Gives<C, N>, void, void> {
    const { rpc, stop } = this.#wire;
    const queue: Gives<C, N>[] = [];
    let failure: GatewayError | undefined;
    let wake = () => {};
    const call = this.#call(key, body, options, options.timeoutMs, (value) => {
      if (rpc && !call.under) this.#calls.set((call.under = value as string), call);
      else queue.push(value as Gives<C, N>);
      wake();
    }, (error) => {
      failure = error;
      wake();
    });
    try {
      for (;;) {
        while (queue.length) yield queue.shift()!;
        if (failure) throw failure;
        await new Promise<void>((done) => (wake = done));
      }
    } finally {
      call.stop();
      if (call.on) {
        options.cancel?.(call.id);
        if (stop && call.under) this.#post(this.#write(stop, [call.under])[1]);
      }
    }
  }
  // Follow:
  /**
   * Follows a group, once the iteration begins: everything that is said in it, once and in order, also over lost
   * connections, and a `gap` where something is missing. It ends when you leave the loop, or with a `GatewayError`: then the
   * client leaves the group. What is said waits in memory until it is taken. Nobody else of this client may follow the group
   * meanwhile. Who follows it next waits until the client has left it, at most `timeoutMs`.
   *
   * Nothing is asked before the first `next()`: call it before you fetch the state, or use the loop and fetch at the `gap`.
   * `return()` takes effect once a `next()` that waits has got something, as in all async generators: end that by `signal`.
   */
  async *follow<N extends Key<C, "follows">>(
    key: N, group: string, { since, signal }: FollowOptions = {},
  ): AsyncGenerator<Told, void, void> {
    const groups = this.#groups;
    const queue: Told[] = [];
    let call: Call, leaving: Call | undefined, failure: GatewayError | undefined;
    let isIn = false, isFirst = since === undefined;
    let wake = () => {}, over = (_isStale?: boolean) => {};
    const wait = () => new Promise<void>((done) => (wake = done));
    const fail = (error: GatewayError) => {
      failure = error;
      wake();
    };
    const abort = () => fail(new GatewayError("aborted", "given up", !!call?.sent, call?.id));
    const begin = () => {
      isIn = false;
      // Until it is answered, it may be sent again as it is.
      call = this.#call(key, { group, since }, { idempotent: true }, undefined, () => {}, (error) => {
        const isLost = error.code === "disconnected";
        if (own.gone) over();
        else if (!isLost || this.#ended) fail(error);
        else begin();
      });
    };
    const leave = () => {
      leaving = this.#call(key, { group, follow: false }, {}, undefined, () => {}, ({ code }) => over(code !== "disconnected"));
    };
    const own: Following = {
      take: (told) => {
        const { recovered, position, missed, unfollowed } = told;
        const isAnswer = recovered !== undefined && !isIn;
        if (own.gone) {
          if (isAnswer) leave();
          if (unfollowed !== undefined) over();
        } else if (isAnswer) {
          isIn = true;
          // What comes from now on depends on `since`.
          call.again = false;
          if (!isFirst) queue.push({ group, unsure: true });
          isFirst = false;
          const isGap = this.#stale.delete(group) || !recovered;
          if (isGap) queue.push({ group, gap: true });
          // What was missed is still to come.
          if (isGap || !missed) since = position as string;
        } else if (recovered === unfollowed) {
          since = (position as string | undefined) ?? since;
          queue.push(told as Told);
        }
        wake();
      },
    };
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort);
    try {
      for (let other; !failure && (other = groups.get(group)); ) {
        if (!other.gone) throw TypeError("followed already: " + group);
        await Promise.race([other.gone, wait()]);
      }
      if (failure) throw failure;
      groups.set(group, own);
      begin();
      for (;;) {
        while (queue.length) yield queue.shift()!;
        if (failure) throw failure;
        await wait();
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      if (groups.get(group) === own) own.gone = new Promise((done) => {
        // The gateway may not answer.
        const timer = setTimeout(() => over(true), Math.min(this.#options.timeoutMs ?? 30_000, 2 ** 31 - 1));
        over = (isStale = false) => {
          over = () => {};
          clearTimeout(timer);
          call.stop();
          leaving?.stop();
          groups.delete(group);
          if (isStale) this.#stale.add(group);
          done();
        };
        call.again = false;
        if (!call.on) over();
        else if (isIn) leave();
      });
    }
  }
  // End.
  /**
   * Sends a message, and waits for nothing. Returns its id; `undefined` if there is no connection: then nothing is sent.
   */
  send<N extends Key<C, "none" | "loose" | "follows" | "any">>(key: N, ...[body]: Rest<Takes<C, N>, never>): Id | undefined {
    const [id, text] = this.#write(key, body);
    return this.#post(text) ? id : undefined;
  }
  /** Sends a message on a channel without keys, and waits for nothing. `false` if there is no connection: then nothing is sent. */
  post(message: C["posts"]): boolean {
    return this.#post(this.#wire.plain ? message : write(message));
  }
  /**
   * Calls the listener with every message that no request waits for and that looks like this event: it has the members
   * that all of them have. Returns a function that removes the listener.
// Follow:
   *
   * What is said of a group is an event, such as `published`, `gap` or `presence`, only while no `follow` follows the group.
// End.
   */
  on<E extends keyof C["events"] & string>(event: E, listener: (message: C["events"][E]) => void): () => void {
    const entry: [string, typeof listener] = [event, listener];
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }
  /** Ends the connection for good. What waits fails: with `disconnected` if it was sent, with `not_sent` if not. */
  close(code = 1000, reason = ""): void {
    this.#socket?.close(code, reason);
    this.#lost(code, reason, true);
  }
  #post(data: unknown): boolean {
    const isOpen = this.#socket?.readyState === 1;
    if (isOpen) this.#socket!.send(data);
    return isOpen;
  }
  #write(key: string, body: unknown): [Id, string] {
    const { rpc, text, key: place, id: places } = this.#wire;
    const next = this.#next++;
    const id = text ? `${next}` : next;
    if (rpc) return [id, write({ jsonrpc: "2.0", method: key, params: body, id })];
    const keyed = put(body as object, place!, key);
    return [id, write(places ? put(keyed, places, id) : keyed)];
  }
  #call(
    key: string, body: unknown, { signal, idempotent }: CallOptions, ms: number | undefined,
    take: (value: unknown) => void, end: (error: GatewayError) => void,
  ): Call {
    const [id, text] = this.#write(key, body);
    const abort = () => call.fail("aborted", "given up");
    let timer: ReturnType<typeof setTimeout> | undefined;
    const call: Call = {
      id, text, again: idempotent, sent: false, on: false, under: "", take,
      fail: (code, message, retryAfterMs) => {
        call.stop();
        end(new GatewayError(code, message, call.sent, id, retryAfterMs));
      },
      stop: () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.#calls.delete(`${id}`);
        this.#calls.delete(call.under);
      },
    };
    if (this.#ended) call.fail("not_sent", this.#why);
    else if (signal?.aborted) abort();
    else {
      signal?.addEventListener("abort", abort);
      // A longer one would end at once.
      if (ms! < 2 ** 31) timer = setTimeout(() => call.fail("client_timed_out", call.sent ? "no reply" : this.#why), ms);
      this.#calls.set(`${id}`, call);
      this.#flush();
    }
    return call;
  }
  /** Sends what has not been sent on this connection. */
  #flush(): void {
    for (const call of this.#calls.values()) if (!call.on && this.#post(call.text)) call.sent = call.on = true;
  }
  async #connect(): Promise<void> {
    const {
      query, protocols, onState, WebSocket: Made = (globalThis as unknown as { WebSocket: NonNullable<Options["WebSocket"]> }).WebSocket,
    } = this.#options;
    onState?.({ is: "connecting" });
    try {
      // JSON has no members that are undefined.
      const search = `${new URLSearchParams(JSON.parse(write((await query?.()) ?? {})))}`;
      const offered = await protocols?.();
      if (this.#ended) return;
      const socket = (this.#socket = new Made(this.#url + (search && `?${search}`), offered) as Socket);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        this.#timer = setTimeout(() => (this.#attempt = 0), this.#options.pausesMs?.[2] ?? 30_000);
        onState?.({ is: "open" });
        this.#flush();
      };
      socket.onmessage = ({ data }) => this.#ended || this.#take(data);
      socket.onclose = ({ code, reason }) => this.#lost(code, reason);
      socket.onerror = () => {};
    } catch (error) {
      this.#lost(0, `${error}`);
    }
  }
  #lost(code: number, reason: string, isFinal?: boolean): void {
    const { pausesMs: [first, busy, longest] = [500, 5000, 30_000], onState, reconnect } = this.#options;
    if (this.#ended) return;
    // Without a close frame; that is 0 in Deno.
    code ||= 1006;
    clearTimeout(this.#timer);
    this.#socket = undefined;
    this.#why = `disconnected: ${code} ${reason}`;
    this.#ended = isFinal || !(reconnect?.(code, reason) ?? (code !== 1000 && code !== 4403));
    // Follow:
    this.#stale.clear();
    // End.
    for (const call of this.#calls.values()) {
      call.on = false;
      if (this.#ended || (call.sent && !call.again)) {
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
  #take(message: unknown): void {
    const { id, errorId = id, rpc, json, events } = this.#wire;
    try {
      if (json) message = JSON.parse(message as string);
    } catch {
      // Text or binary data.
    }
    // A message of a subscription has its parameters in place of a result.
    const pushed = rpc && at(message, ["params"]);
    const part = pushed || message;
    const error = at(part, ["error"]);
    const fault = rpc ? at(error, ["data"]) : error;
    const code = at(fault, ["code"]);
    const own = at(part, pushed ? ["subscription"] : code ? errorId : id);
    const call = this.#calls.get(`${own}`);
    if (typeof code === "string") {
      const text = `${at(error, ["message"])}`;
      const later = at(fault, ["retry_after_ms"]) as number | undefined;
      if (!call) this.#options.onError?.(new GatewayError(code, text, true, own, later));
      // One that may be carried out twice goes out again on the next connection.
      else if (code !== "closing" || !call.again) {
        call.on = false;
        call.fail(code, text, later);
      }
    } else if (call) call.take(rpc ? at(part, ["result"]) : message);
    // Follow:
    else if (this.#groups.has(at(message, ["group"])) && isTold(message as Record<string, unknown>)) {
      this.#groups.get(at(message, ["group"]))!.take(message as Record<string, unknown>);
    }
    // End.
    else {
      let isTaken = false;
      for (const [event, listener] of this.#listeners) {
        if (!events[event]!(message)) continue;
        isTaken = true;
        listener(message as never);
      }
      if (!isTaken) this.#options.onMessage?.(message);
    }
  }
}
