/** A form for a message, made of its schema. It and the message's text follow each other. */

import type { AsyncApi } from "./document.js";
import { el, freshId } from "./dom.js";
import { compact, textOf, tryRead, type Json, type Path } from "./json.js";
import { fixedFirst, flat, types, words, type Schema } from "./schema.js";

/** A part of a message. */
export interface Field {
  element: HTMLElement;
  /** Its JSON text; nothing if it is left out. */
  text(): string | undefined;
  fill(json: Json | undefined): void;
  /** Shows a mistake in the value at this path, or takes it away. Returns whether there is such a field. */
  mark(path: Path, mistake: string | undefined): boolean;
}

/** A field for a value of this schema. */
export function field(
  document: AsyncApi,
  name: string,
  schema: Schema,
  required: boolean,
  changed: () => void,
  depth = 0,
): Field {
  const at = flat(document, schema);
  if (at.const !== undefined) return constant(name, JSON.stringify(at.const));
  const isObject = at.properties && !at.oneOf && !at.anyOf && depth < 6;
  if (isObject) return object(document, name, at, required, changed, depth);
  const about = { name, required, hint: [words(document, at), at.description ?? ""] };
  const all = types(at);
  if (at.enum) return choice(about, at.enum.map((value) => JSON.stringify(value)), changed);
  if (all.length === 1 && all[0] === "boolean") return choice(about, ["true", "false"], changed);
  if (all.length === 1 && all[0] === "string") return input(about, changed, (text) => JSON.stringify(text));
  if (all.length > 0 && all.every((type) => ["integer", "number", "string"].includes(type))) {
    // What is no number goes out as a string, so that the gateway can say what is wrong with it.
    return input(about, changed, (text) => (NUMBER.test(text) ? text : JSON.stringify(text)));
  }
  return raw(about, changed);
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

interface About {
  name: string;
  required: boolean;
  hint: string[];
}

/** A value that cannot be another. */
function constant(name: string, value: string): Field {
  const element = el("p", { class: "constant" }, el("span", {}, name), " ", el("code", {}, value));
  return { element, text: () => value, fill: () => {}, mark: () => false };
}

/** Something to fill in, with its label, its hint, and room for a mistake. */
function labelled(about: About, control: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement) {
  control.id = freshId();
  const hint = el("small", { id: freshId() }, about.hint.filter((part) => part !== "").join(". "));
  const mistake = el("small", { id: freshId(), class: "mistake" });
  const label = el("label", { for: control.id }, about.name);
  if (about.required) label.append(el("span", { class: "required" }, " required"));
  control.setAttribute("aria-describedby", `${hint.id} ${mistake.id}`);
  const element = el("div", { class: "field" }, label, control, hint, mistake);
  const mark = (path: Path, text: string | undefined) => {
    if (path.length > 0) return false;
    mistake.textContent = text ?? "";
    control.toggleAttribute("aria-invalid", text !== undefined);
    if (text !== undefined) control.setAttribute("aria-invalid", "true");
    return true;
  };
  return { element, mark };
}

function input(about: About, changed: () => void, write: (text: string) => string): Field {
  const control = el("input", { autocomplete: "off", spellcheck: "false", input: changed });
  return {
    ...labelled(about, control),
    text: () => (control.value === "" && !about.required ? undefined : write(control.value)),
    fill: (json) => (control.value = textOf(json) ?? (json ? compact(json) : "")),
  };
}

function choice(about: About, values: string[], changed: () => void): Field {
  const control = el("select", { change: changed });
  if (!about.required) control.append(el("option", { value: "" }, "(left out)"));
  for (const value of values) {
    control.append(el("option", { value }, value.startsWith('"') ? (JSON.parse(value) as string) : value));
  }
  return {
    ...labelled(about, control),
    text: () => (control.value === "" ? undefined : control.value),
    fill: (json) => (control.value = json ? compact(json) : ""),
  };
}

/** A value that only its JSON can say. */
function raw(about: About, changed: () => void): Field {
  const control = el("textarea", { rows: "2", spellcheck: "false", input: changed });
  return {
    ...labelled({ ...about, hint: [...about.hint, "JSON"] }, control),
    text: () => (control.value.trim() === "" ? (about.required ? "null" : undefined) : control.value),
    fill: (json) => (control.value = json ? compact(json) : ""),
  };
}

function object(
  document: AsyncApi,
  name: string,
  schema: Schema,
  required: boolean,
  changed: () => void,
  depth: number,
): Field {
  const needed = new Set(schema.required ?? []);
  const fields = new Map<string, Field>();
  const members = schema.properties ?? {};
  for (const key of fixedFirst(document, schema, Object.keys(members))) {
    fields.set(key, field(document, key, members[key] ?? {}, needed.has(key), changed, depth + 1));
  }
  /** Members that the schema does not know: they stay. */
  let others: [string, string][] = [];
  const element = el("fieldset", {}, ...[...fields.values()].map((each) => each.element));
  if (depth > 0) element.prepend(el("legend", {}, name));
  return {
    element,
    text: () => {
      const known = [...fields].flatMap(([key, each]) => {
        const text = each.text();
        return text === undefined ? [] : [[key, text] as const];
      });
      const all = [...known, ...others];
      const isEmpty = all.every(([key]) => !others.some(([other]) => other === key)) && known.length === 0;
      if (isEmpty && !required) return undefined;
      return `{${all.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(",")}}`;
    },
    fill: (json) => {
      const members = new Map(json?.kind === "object" ? json.members : []);
      for (const [key, each] of fields) each.fill(members.get(key));
      others = [...members].flatMap(([key, value]) => (fields.has(key) ? [] : [[key, compact(value)]]));
    },
    mark: ([key, ...rest], mistake) => {
      if (key === undefined) return false;
      const found = fields.get(String(key));
      return found?.mark(rest, mistake) || found?.mark([], mistake) || false;
    },
  };
}

/** Takes away all mistakes that a field shows. */
export function unmark(element: HTMLElement): void {
  for (const mistake of element.querySelectorAll(".mistake")) mistake.textContent = "";
  for (const control of element.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

/** Fills a field with a text, if it is JSON. */
export function fill(field: Field, text: string): void {
  const json = tryRead(text);
  if (json) field.fill(json);
}
