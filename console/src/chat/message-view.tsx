// One message: its text, thoughts, tool calls and files. Drawn again only when it changed.

import type { Part, ToolPart, ViewMessage } from '@lychgate/client/messages';
import { Icon } from '../ui';
import { keep } from './keep';
import { Markdown } from './markdown-view';
import { safe } from './markdown';
import { words } from './words';

/** How the run goes that this message belongs to; `over` for everything but the last answer. */
export type Liveness = 'running' | 'failed' | 'over';

export const MessageView = keep(function MessageView({ message, live }: { message: ViewMessage; live: Liveness }) {
  const isUser = message.role === 'user';
  return (
    <article class={isUser ? 'message own' : 'message'} data-message={message.id} data-role={message.role}>
      <h2 class="unseen">{nameOf(message.role)}</h2>
      {message.parts.map((part, at) => (
        <PartView key={'id' in part ? part.id : at} part={part} live={live} look={isUser ? 'plain' : 'markdown'} />
      ))}
    </article>
  );
});

function nameOf(role: string): string {
  switch (role) {
    case 'user':
      return words.you;
    case 'assistant':
      return words.assistant;
    case 'reasoning':
      return words.thoughts;
    case 'tool':
      return words.toolResult;
    default:
      return words.system;
  }
}

const PartView = keep(function PartView({
  part,
  live,
  look,
}: {
  part: Part;
  live: Liveness;
  look: 'plain' | 'markdown';
}) {
  switch (part.type) {
    case 'text':
      // What a person wrote is shown as it was written.
      if (look === 'plain') return <p class="written">{part.text}</p>;
      return (
        <div class={!part.done && live === 'running' ? 'text writing' : 'text'}>
          <Markdown text={part.text} />
        </div>
      );
    case 'reasoning':
      return <Reasoning text={part.text} live={!part.done && live === 'running' ? 'thinking' : 'thought'} />;
    case 'tool':
      return <Tool part={part} live={live} />;
    case 'file':
      return <File url={part.url} name={part.name ?? part.mediaType ?? words.file} />;
  }
});

/** Folded; while it comes, its last words stand beside the sign. */
function Reasoning({ text, live }: { text: string; live: 'thinking' | 'thought' }) {
  return (
    <details class="fold">
      <summary>
        <Icon name="thought" />
        <span>{live === 'thinking' ? words.thinking : words.thoughts}</span>
        {live === 'thinking' && (
          <span class="glimpse" aria-hidden="true">
            <bdi>{text.slice(-120).replaceAll('\n', ' ')}</bdi>
          </span>
        )}
      </summary>
      <div class="fold-body soft">
        <Markdown text={text} />
      </div>
    </details>
  );
}

type ToolState = 'running' | 'done' | 'failed' | 'unfinished';

const toolWords = {
  running: words.toolRunning,
  done: words.toolDone,
  failed: words.toolFailed,
  unfinished: words.toolUnfinished,
} as const;

const toolIcons = { running: 'wait', done: 'check', failed: 'alert', unfinished: 'alert' } as const;

/** Name and state in a line; arguments and result below it. */
function Tool({ part, live }: { part: ToolPart; live: Liveness }) {
  const state = toolState(part, live);
  return (
    <details class={`fold tool ${state}`} data-tool={part.name} data-state={state}>
      <summary>
        <Icon name="tool" />
        <span class="mono">{part.name}</span>
        <span class="tool-state">
          <Icon name={toolIcons[state]} />
          {toolWords[state]}
        </span>
      </summary>
      <div class="fold-body">
        <h3>{words.toolArguments}</h3>
        <Json text={part.args} label={words.toolArguments} />
        <h3>{words.toolResult}</h3>
        {part.error !== undefined && <p class="wrong">{part.error}</p>}
        {part.result === undefined ? (
          <p class="hint">{words.toolNoResult}</p>
        ) : (
          <Json text={part.result} label={words.toolResult} />
        )}
      </div>
    </details>
  );
}

function toolState(part: ToolPart, live: Liveness): ToolState {
  if (part.error !== undefined) return 'failed';
  if (part.result !== undefined) return 'done';
  switch (live) {
    case 'running':
      return 'running';
    case 'failed':
      return 'failed';
    case 'over':
      return 'unfinished';
  }
}

function Json({ text, label }: { text: string; label: string }) {
  return (
    <pre tabIndex={0} aria-label={label}>
      <code>{pretty(text)}</code>
    </pre>
  );
}

/** JSON in lines, where it is JSON: arguments that are still coming are not yet. */
function pretty(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}

function File({ url, name }: { url: string | undefined; name: string }) {
  const href = url === undefined ? undefined : safe(url);
  if (href === undefined) return <p class="hint">{name}</p>;
  return (
    <p>
      <a href={href} target="_blank" rel="noopener noreferrer nofollow">
        {name}
      </a>
    </p>
  );
}
