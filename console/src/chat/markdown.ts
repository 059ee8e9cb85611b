// What an answer's text is made of: paragraphs, code between fences, lists; in a line: code, links. Nothing else.
//
//   text --blocks--> [paragraph | code | list] --spans--> [text | code | link]
//
// Pure, and made of values that components render as text: no HTML is ever made from what an agent wrote. A text that
// is still being written gives the same blocks for what is complete, so that only the last one changes with each token.

/** A part of an answer that stands on lines of its own. */
export type Block =
  | { kind: 'paragraph'; text: string }
  | { kind: 'code'; language: string; text: string; closed: boolean }
  | { kind: 'list'; ordered: boolean; start: number; items: Item[] };

export interface Item {
  text: string;
  /** How far it is indented, from 0. */
  depth: number;
}

/** A part of a line. */
export type Span =
  { kind: 'text'; text: string } | { kind: 'code'; text: string } | { kind: 'link'; text: string; href: string };

const TICKS = /^ {0,3}(`{3,}|~{3,})/;
const MARK = /^(\s*)(?:[-*+]|(\d{1,9})[.)])(?=\s)/;
const MAX_DEPTH = 4;

// The expressions above know the beginning of a line alone. One that went on to its end ("blanks, a word, anything")
// could split the blanks in as many ways as there are, and a line of 100,000 of them would freeze the page.

/** The line that begins code, or nothing. */
function fenceOf(line: string): { mark: string; language: string } | undefined {
  const [whole, mark] = TICKS.exec(line) ?? [];
  if (whole === undefined || mark === undefined) return undefined;
  const rest = line.slice(whole.length);
  return rest.includes('`') ? undefined : { mark, language: rest.trim().split(/\s/, 1)[0] ?? '' };
}

/** The line that begins an item, or nothing: a mark, a blank, and more. `number` is that of an ordered one. */
function itemOf(line: string): { indent: string; number: string | undefined; text: string } | undefined {
  const [whole, indent = '', number] = MARK.exec(line) ?? [];
  return whole === undefined ? undefined : { indent, number, text: line.slice(whole.length).trimStart() };
}

/** Splits a text into blocks. Never fails: what is no code and no list is a paragraph. */
export function blocks(text: string): Block[] {
  const lines = text.split('\n');
  const found: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? '';
    const fence = fenceOf(line);
    if (fence) at = readCode(lines, at, fence, found);
    else if (itemOf(line)) at = readList(lines, at, found);
    else if (line.trim() === '') at += 1;
    else at = readParagraph(lines, at, found);
  }
  return found;
}

function readCode(lines: string[], from: number, { mark, language }: { mark: string; language: string }, found: Block[]): number {
  const isEnd = (line: string) => {
    const trimmed = line.trim();
    return trimmed.length >= mark.length && trimmed === (mark[0] ?? '`').repeat(trimmed.length);
  };
  let at = from + 1;
  while (at < lines.length && !isEnd(lines[at] ?? '')) at += 1;
  const closed = at < lines.length;
  found.push({ kind: 'code', language, text: lines.slice(from + 1, at).join('\n'), closed });
  return at + 1;
}

function readList(lines: string[], from: number, found: Block[]): number {
  const first = itemOf(lines[from] ?? '');
  const ordered = first?.number !== undefined;
  const items: Item[] = [];
  let at = from;
  for (; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const item = itemOf(line);
    const depth = Math.min(MAX_DEPTH, Math.floor((item?.indent.replaceAll('\t', '  ').length ?? 0) / 2));
    if (item && (depth > 0 || (item.number !== undefined) === ordered)) {
      items.push({ text: item.text, depth });
      continue;
    }
    const last = items.at(-1);
    // A line that is indented below an item goes on with it; one blank line may lie between two items.
    if (!item && line.trim() !== '' && /^\s/.test(line) && last && !fenceOf(line)) {
      last.text += ` ${line.trim()}`;
      continue;
    }
    if (line.trim() === '' && continues(lines[at + 1], ordered)) continue;
    break;
  }
  found.push({ kind: 'list', ordered, start: ordered ? Number(first.number) : 1, items });
  return at;
}

function continues(line: string | undefined, ordered: boolean): boolean {
  const item = line === undefined ? undefined : itemOf(line);
  return item !== undefined && (item.number !== undefined) === ordered;
}

function readParagraph(lines: string[], from: number, found: Block[]): number {
  let at = from;
  while (at < lines.length) {
    const line = lines[at] ?? '';
    if (line.trim() === '' || fenceOf(line) || (at > from && itemOf(line))) break;
    at += 1;
  }
  found.push({ kind: 'paragraph', text: lines.slice(from, at).join('\n') });
  return at;
}

// Code of one or two ticks; [text](address); a bare address.
const SPAN = /(``?)(?!`)([^\n]+?)\1(?!`)|\[([^\]\n]{1,400})\]\(([^\s()]{1,2000})\)|(https?:\/\/[^\s<>"'`]{1,2000})/g;

/** Splits a line or a paragraph. An address that is not http, https or mailto stays text: it could run a script. */
export function spans(text: string): Span[] {
  const found: Span[] = [];
  let from = 0;
  const plain = (until: number) => {
    if (until > from) found.push({ kind: 'text', text: text.slice(from, until) });
  };
  for (const match of text.matchAll(SPAN)) {
    const span = read(match);
    if (!span) continue;
    plain(match.index);
    found.push(span.span);
    from = match.index + span.length;
  }
  plain(text.length);
  return found;
}

function read(match: RegExpExecArray): { span: Span; length: number } | undefined {
  const [whole, , code, label, address, bare] = match;
  if (code !== undefined) return { span: { kind: 'code', text: code }, length: whole.length };
  if (label !== undefined && address !== undefined) {
    const href = safe(address);
    return href === undefined ? undefined : { span: { kind: 'link', text: label, href }, length: whole.length };
  }
  // The full stop after an address ends the sentence, not the address.
  const trimmed = withoutStops(bare ?? '');
  const href = safe(trimmed);
  return href === undefined ? undefined : { span: { kind: 'link', text: trimmed, href }, length: trimmed.length };
}

/** Not by an expression: from each of many full stops one would look for the end anew. */
function withoutStops(address: string): string {
  let end = address.length;
  while (end > 0 && '.,;:!?)]}'.includes(address.charAt(end - 1))) end -= 1;
  return address.slice(0, end);
}

/** The address if a press on it can do no harm, else nothing. */
export function safe(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined;
  const { protocol, href } = new URL(address);
  return protocol === 'https:' || protocol === 'http:' || protocol === 'mailto:' ? href : undefined;
}
