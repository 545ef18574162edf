/** Close codes in words. */

const CODES: Record<number, string> = {
  1000: "It was closed as agreed.",
  1001: "The other side goes away.",
  1002: "The protocol was broken.",
  1003: "The data is of an unsupported kind.",
  1005: "The close frame has no code.",
  1006: "The connection ended without a close frame.",
  1007: "Text is not UTF-8.",
  1008: "A policy was violated.",
  1009: "A message is too large.",
  1011: "The server met an unexpected condition.",
  1012: "The server restarts.",
  1013: "The server is overloaded: try again later.",
  1014: "A gateway got an invalid answer from upstream.",
};

/** Why a connection was closed: what the document says of its channel, or else what RFC 6455 says. */
export function inWords(code: number, ofChannel: Record<string, string> = {}): string {
  return ofChannel[String(code)] ?? CODES[code] ?? "The application's own code.";
}
