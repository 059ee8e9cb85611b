// An answer's text on the page: blocks and spans of markdown.ts as elements. Everything is text; nothing is ever HTML.

import type { ComponentChild } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Button } from '../ui';
import { keep } from './keep';
import { type Block, type Item, type Span, blocks, spans } from './markdown';
import { words } from './words';

const COPIED_MS = 2_000;

/** A text in blocks. Blocks stand in the order of the text and only the last one changes while it is being written. */
export const Markdown = keep(function Markdown({ text }: { text: string }) {
  return (
    <div class="markdown">
      {blocks(text).map((block, at) => (
        <BlockView key={at} {...flat(block)} />
      ))}
    </div>
  );
});

/** Blocks are new values at each parse; as one text they can be compared. */
function flat(block: Block): { kind: Block['kind']; json: string } {
  return { kind: block.kind, json: JSON.stringify(block) };
}

const BlockView = keep(function BlockView({ json }: { kind: Block['kind']; json: string }) {
  // It was made by `flat` from a Block.
  const block = JSON.parse(json) as Block;
  switch (block.kind) {
    case 'paragraph':
      return <p>{block.text.split('\n').flatMap((line, at) => [at > 0 && <br key={at} />, ...inline(line)])}</p>;
    case 'code':
      return <Code language={block.language} text={block.text} />;
    case 'list':
      return <List ordered={block.ordered} start={block.start} items={block.items} depth={0} />;
  }
});

function inline(text: string): ComponentChild[] {
  return spans(text).map((span) => spanView(span));
}

function spanView(span: Span): ComponentChild {
  switch (span.kind) {
    case 'text':
      return span.text;
    case 'code':
      return <code>{span.text}</code>;
    case 'link':
      return (
        <a href={span.href} target="_blank" rel="noopener noreferrer nofollow">
          {span.text}
        </a>
      );
  }
}

/** Items that are indented deeper make a list inside of the item before them. */
function List({ ordered, start, items, depth }: { ordered: boolean; start: number; items: Item[]; depth: number }) {
  const rows: { item: Item; below: Item[] }[] = [];
  for (const item of items) {
    const last = rows.at(-1);
    if (last && item.depth > depth) last.below.push(item);
    else rows.push({ item, below: [] });
  }
  const children = rows.map(({ item, below }, at) => (
    <li key={at}>
      {inline(item.text)}
      {below.length > 0 && <List ordered={false} start={1} items={below} depth={below[0]?.depth ?? depth + 1} />}
    </li>
  ));
  return ordered ? <ol start={start}>{children}</ol> : <ul>{children}</ul>;
}

/** Code with its language and a way to copy it. It scrolls by itself, so it can be reached by keyboard. */
function Code({ language, text }: { language: string; text: string }) {
  const [copied, setCopied] = useState<'not yet' | 'copied' | 'refused'>('not yet');
  useEffect(() => {
    if (copied === 'not yet') return undefined;
    const timer = setTimeout(() => setCopied('not yet'), COPIED_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => setCopied('copied'),
      () => setCopied('refused'),
    );
  };
  const labels = { 'not yet': words.copy, copied: words.copied, refused: words.copyRefused };
  return (
    <figure class="code">
      <figcaption>
        <span class="mono">{language || words.code}</span>
        <Button look="bare" icon={copied === 'copied' ? 'check' : 'copy'} label={labels[copied]} onPress={copy} />
      </figcaption>
      <pre tabIndex={0} aria-label={words.codeIn(language)}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}
