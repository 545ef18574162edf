/** JSON as it is written: numbers keep their digits, and every value knows where it stands. */

export type Json = Place &
  (
    | { kind: "object"; members: [string, Json][] }
    | { kind: "array"; items: Json[] }
    | { kind: "leaf"; text: string }
  );

interface Place {
  /** Where it begins and ends in the text. */
  from: number;
  to: number;
}

export type Path = (string | number)[];

/** Reads a text. Throws a `SyntaxError` if it is not JSON. */
export function read(text: string): Json {
  JSON.parse(text);
  return new Reader(text).value();
}

/** Reads a text; nothing if it is not JSON. */
export function tryRead(text: string): Json | undefined {
  try {
    return read(text);
  } catch {
    return undefined;
  }
}

/** Reads a text that is known to be JSON. */
class Reader {
  private at = 0;
  constructor(private readonly text: string) {}

  private take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? "";
    this.at += found.length;
    return found;
  }

  /** Takes this character, if it is next. */
  private is(char: string): boolean {
    this.take(/[ \t\r\n]*/y);
    if (this.text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  value(): Json {
    if (this.is("{")) {
      const from = this.at - 1;
      const members: [string, Json][] = [];
      while (!this.is("}")) {
        this.is(",");
        this.take(/[ \t\r\n]*/y);
        const name = JSON.parse(this.take(/"(?:[^"\\]|\\.)*"/y)) as string;
        this.is(":");
        members.push([name, this.value()]);
      }
      return { kind: "object", members, from, to: this.at };
    }
    if (this.is("[")) {
      const from = this.at - 1;
      const items: Json[] = [];
      while (!this.is("]")) {
        this.is(",");
        items.push(this.value());
      }
      return { kind: "array", items, from, to: this.at };
    }
    const from = this.at;
    const text = this.take(/"(?:[^"\\]|\\.)*"|[^\s,\]}]+/y);
    return { kind: "leaf", text, from, to: this.at };
  }
}

/** The value at a path. */
export function at(json: Json | undefined, path: Path): Json | undefined {
  return path.reduce<Json | undefined>((json, step) => {
    if (json?.kind === "object") return json.members.findLast(([name]) => name === step)?.[1];
    if (json?.kind === "array") return json.items[Number(step)];
    return undefined;
  }, json);
}

/** The text of a value: of a string its characters, of all else what is written. */
export function textOf(json: Json | undefined): string | undefined {
  if (json?.kind !== "leaf") return undefined;
  return json.text.startsWith('"') ? (JSON.parse(json.text) as string) : json.text;
}

/** The text of a value without the spaces between tokens. */
export function compact(json: Json): string {
  if (json.kind === "leaf") return json.text;
  if (json.kind === "array") return `[${json.items.map(compact).join(",")}]`;
  return `{${json.members.map(([name, value]) => `${JSON.stringify(name)}:${compact(value)}`).join(",")}}`;
}

/** The text of a value in lines. */
export function indented(json: Json, margin = ""): string {
  const inner = `${margin}  `;
  const lines = (parts: string[], open: string, close: string) =>
    parts.length === 0 ? open + close : `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${margin}${close}`;
  if (json.kind === "leaf") return json.text;
  if (json.kind === "array") return lines(json.items.map((item) => indented(item, inner)), "[", "]");
  const members = json.members.map(([name, value]) => `${JSON.stringify(name)}: ${indented(value, inner)}`);
  return lines(members, "{", "}");
}

/** The path of a JSON pointer (RFC 6901). */
export function pointer(text: string): string[] {
  const steps = text.split("/").slice(1);
  return steps.map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The innermost value that contains a position; a value ends with its last character. */
export function pathAt(json: Json, offset: number): Path {
  const children: [string | number, Json][] =
    json.kind === "object" ? json.members : json.kind === "array" ? [...json.items.entries()] : [];
  const child = children.find(([, value]) => value.from <= offset && offset < value.to);
  return child ? [child[0], ...pathAt(child[1], offset)] : [];
}

/** The position of the last character before a column, which counts bytes as serde_json does. */
export function offsetOf(text: string, line: number, column: number): number {
  const before = text.split("\n").slice(0, line - 1);
  let offset = before.reduce((sum, line) => sum + line.length + 1, 0);
  let bytes = 0;
  for (const char of text.slice(offset)) {
    bytes += new TextEncoder().encode(char).length;
    if (bytes >= column) break;
    offset += char.length;
  }
  return offset;
}

/** Puts a value at a path, whose parent must be there. */
export function withValue(text: string, path: string[], value: string): string {
  const json = tryRead(text);
  const found = at(json, path);
  if (found) return text.slice(0, found.from) + value + text.slice(found.to);
  const parent = at(json, path.slice(0, -1));
  const name = path.at(-1);
  if (parent?.kind !== "object" || name === undefined) return text;
  const last = parent.members.at(-1)?.[1];
  const member = `${JSON.stringify(name)}: ${value}`;
  const end = last ? last.to : parent.from + 1;
  return text.slice(0, end) + (last ? ", " : "") + member + text.slice(end);
}
