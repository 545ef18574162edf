// AsyncAPI documents, read by the official parser, which must find nothing; and what the parser does not look at: every
// sample, and every example in the document, is valid against the message that it is of, and against no other of its
// channel. Messages that are not described may be anything.
//
//     node asyncapi.mjs document.yaml samples.json
//     node asyncapi.mjs document.yaml another.yaml ..
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.env.WASABI_TEST_TOOLS + "/node/");
const { Parser } = require("@asyncapi/parser");
const Ajv = require("ajv");

let wrong = 0;
const complain = (...words) => {
  console.error(...words);
  wrong += 1;
};
const ajv = new (Ajv.default ?? Ajv)({ strict: false, validateFormats: false });

async function check(file, wanted) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
  // Hints and information are about newer versions of the specification.
  const found = diagnostics.filter((each) => each.severity < 2);
  for (const { path, message } of found) complain(file, path.join("/"), message);
  if (!document) return complain(file, "is no document");
  for (const channel of document.channels().all()) {
    const words = (message) => Object.keys(message.payload()?.json() ?? {});
    const described = (each) => words(each).some((word) => !word.startsWith("x-parser"));
    const messages = channel.messages().all().filter(described);
    const validate = messages.map((each) => [each.id(), ajv.compile(each.payload().json())]);
    const examples = messages.map((each) => [each.id(), each.examples().all().map((example) => example.payload())]);
    for (const [name, list] of [...Object.entries(wanted[channel.id()] ?? {}), ...examples]) {
      for (const sample of list) {
        const valid = validate.filter(([, check]) => check(sample)).map(([id]) => id);
        if (valid.join() !== (name === "undescribed" ? "" : name)) {
          complain(file, channel.id(), JSON.stringify(sample), "is", valid.join(" and ") || "nothing", "and not", name);
        }
      }
    }
  }
}

const files = process.argv.slice(2);
const samples = files.at(-1).endsWith(".json") ? JSON.parse(readFileSync(files.pop(), "utf8")) : {};
for (const file of files) await check(file, samples);
process.exit(wrong && 1);
