import { describe, expect, test } from 'vitest';
import { blocks, safe, spans } from './markdown';

describe('blocks', () => {
  test('lines without a blank one between them are one paragraph', () => {
    expect(blocks('one\ntwo\n\nthree')).toEqual([
      { kind: 'paragraph', text: 'one\ntwo' },
      { kind: 'paragraph', text: 'three' },
    ]);
  });

  test('a fence keeps its text letter by letter, also blank lines, lists and shorter fences', () => {
    const text = '- no list\n\n``\n  indented';
    expect(blocks(`\`\`\`ts\n${text}\n\`\`\`\nafter`)).toEqual([
      { kind: 'code', language: 'ts', text, closed: true },
      { kind: 'paragraph', text: 'after' },
    ]);
  });

  test('a fence that is still being written is code already', () => {
    expect(blocks('before\n```\nlet a')).toEqual([
      { kind: 'paragraph', text: 'before' },
      { kind: 'code', language: '', text: 'let a', closed: false },
    ]);
  });

  test('blocks above the last one stay as they are while lines are added', () => {
    const text = 'First.\n\n1. one\n2. two\n   - deeper\n\n```\ncode\n```\n\nLast words here';
    const whole = blocks(text);
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) {
      const part = blocks(text.slice(0, end));
      expect(part.length).toBeLessThanOrEqual(whole.length);
      expect(part.slice(0, -1)).toEqual(whole.slice(0, part.length - 1));
    }
  });

  test('a list keeps its first number, its order and its depth, over blank lines between items', () => {
    expect(blocks('3. three\n\n4. four\n  - below\n- other')).toEqual([
      {
        kind: 'list',
        ordered: true,
        start: 3,
        items: [
          { text: 'three', depth: 0 },
          { text: 'four', depth: 0 },
          { text: 'below', depth: 1 },
        ],
      },
      { kind: 'list', ordered: false, start: 1, items: [{ text: 'other', depth: 0 }] },
    ]);
  });

  test('a dash inside of a line, and a number without a space, begin no list', () => {
    expect(blocks('well - no\n3.14 is not a list')).toEqual([
      { kind: 'paragraph', text: 'well - no\n3.14 is not a list' },
    ]);
  });

  test('any text ends, however odd', () => {
    for (const text of [
      '',
      '\n',
      '```',
      '~~~~\n~~~',
      '-',
      '- ',
      '1.',
      '``` ` ```',
      '\t- a\n\t\t- b',
      '- '.repeat(500),
    ]) {
      expect(() =>
        blocks(text).flatMap((block) => (block.kind === 'paragraph' ? spans(block.text) : [])),
      ).not.toThrow();
    }
  });

  test('a line takes time by its length, whatever it is made of', () => {
    const much = 200_000;
    for (const line of [
      '```' + ' '.repeat(much) + '`',
      '```' + 'a '.repeat(much) + '`',
      '-' + ' '.repeat(much) + 'x\u2028y',
      ' '.repeat(much) + '-',
      '`a'.repeat(much),
      '``a'.repeat(much) + '`',
      `https://a.example/${'.'.repeat(much)}x`,
    ]) {
      const begin = performance.now();
      for (const block of blocks(line)) if (block.kind === 'paragraph') spans(block.text);
      // Quadratic it would be minutes.
      expect(performance.now() - begin, line.slice(0, 20)).toBeLessThan(2_000);
    }
  });
});

describe('spans', () => {
  test('code, links and bare addresses are found, and the rest is text', () => {
    expect(spans('see `a*b`, [here](https://a.example/x) or https://b.example/y.')).toEqual([
      { kind: 'text', text: 'see ' },
      { kind: 'code', text: 'a*b' },
      { kind: 'text', text: ', ' },
      { kind: 'link', text: 'here', href: 'https://a.example/x' },
      { kind: 'text', text: ' or ' },
      { kind: 'link', text: 'https://b.example/y', href: 'https://b.example/y' },
      { kind: 'text', text: '.' },
    ]);
  });

  test('an address that could run a script stays text', () => {
    for (const address of [
      'javascript:alert(1)',
      'JaVaScRiPt:alert(1)',
      'data:text/html,x',
      'vbscript:x',
      'file:///etc/passwd',
      '//a.example',
    ]) {
      expect(safe(address)).toBeUndefined();
      const text = `[press](${address})`;
      expect(spans(text).map((span) => span.kind)).not.toContain('link');
      expect(
        spans(text)
          .map((span) => span.text)
          .join(''),
      ).toBe(text);
    }
  });

  test('nothing of a text gets lost', () => {
    const text = 'a `b` c ``d ` e`` [f] (g) [h](i) http:// <b> & "';
    const rebuilt = spans(text).map((span) =>
      span.kind === 'code' ? (span.text.includes('`') ? `\`\`${span.text}\`\`` : `\`${span.text}\``) : span.text,
    );
    expect(rebuilt.join('')).toBe(text);
  });
});
