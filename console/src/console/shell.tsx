/** What stands round every page: who and where, how live it is, the way to the others, what fires. */

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { Button, Icon, ThemeSwitch, type IconName, type Tone } from '../ui';
import { Help } from './help';
import { useShortcuts } from './keys';
import { linkSentence, type Link } from './live/words';
import { Agents } from './pages/agents';
import { Alerts } from './pages/alerts';
import { NodePage } from './pages/node';
import { Overview } from './pages/overview';
import { Reclaims } from './pages/reclaims';
import { Users } from './pages/users';
import { useDesk } from './state/desk';
import { ranked } from './state/alerts';
import { PAGES, type Route } from './state/route';
import { UserPage } from './user/page';
import { counted, plain } from './words';

export function Shell({ onLeave }: { onLeave: () => void }) {
  const desk = useDesk();
  const [helps, help] = useState(false);
  const onHelp = useCallback(() => help(true), []);
  useShortcuts(desk, onHelp);
  const route = desk.route.value;
  useArrival(route);
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={skip}>
        To the page
      </a>
      <header class="top">
        <p class="brand">Lychgate</p>
        <NodeLabel />
        <LinkLine />
        <div class="who">
          <span class="hint">
            {desk.me.operator} ({desk.mayWrite ? 'may change' : 'may look'})
          </span>
          <Button look="bare" label="Keys" onPress={onHelp} />
          <ThemeSwitch />
          <Button look="bare" label="Sign out" onPress={onLeave} />
        </div>
      </header>
      <Navigation route={route} />
      <main id="main" tabIndex={-1} data-stale={desk.isStale.value}>
        <Firing />
        <Page route={route} />
      </main>
      <Notes />
      {helps && <Help onClose={() => help(false)} />}
    </div>
  );
}

/** A link to `#main` would be read as a page by the router. */
function skip(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

/**
 * Says where one is: in the title, and to a screen reader by moving the focus to the heading, but not at the first
 * load.
 */
function useArrival(route: Route): void {
  const at = route.page === 'user' ? `user ${route.user}` : route.page;
  const first = useRef(true);
  useEffect(() => {
    const heading = document.querySelector<HTMLElement>('main h1');
    document.title = `${heading?.textContent ?? 'Console'} · Lychgate`;
    if (!first.current) {
      heading?.focus();
      window.scrollTo(0, 0);
    }
    first.current = false;
  }, [at]);
}

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case 'overview':
      return <Overview />;
    case 'users':
      return <Users search={route.search} sort={route.sort} />;
    case 'user':
      return <UserPage key={route.user} user={route.user} />;
    case 'reclaims':
      return <Reclaims user={route.user} />;
    case 'agents':
      return <Agents />;
    case 'node':
      return <NodePage />;
    case 'alerts':
      return <Alerts />;
  }
}

function Navigation({ route }: { route: Route }) {
  const desk = useDesk();
  const firing = desk.alerts.value?.alerts.filter((alert) => alert.state === 'firing').length ?? 0;
  const here = route.page === 'user' ? 'users' : route.page;
  return (
    <nav class="nav" aria-label="Pages">
      <ul class="plain">
        {PAGES.map(({ page, title, href }) => (
          <li key={page}>
            <a href={href} aria-current={page === here ? 'page' : undefined}>
              {title}
              {page === 'alerts' && firing > 0 && <span class="badge"> {firing} firing</span>}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function NodeLabel() {
  const node = useDesk().node.value;
  if (node === undefined) return null;
  return (
    <p class="hint node">
      <span class="mono">{node.name}</span> {node.version}
    </p>
  );
}

const TONES: Readonly<Record<Link['phase'], { tone: Tone; icon: IconName }>> = {
  connecting: { tone: 'plain', icon: 'wait' },
  live: { tone: 'ok', icon: 'link' },
  stale: { tone: 'warn', icon: 'offline' },
  crowded: { tone: 'warn', icon: 'wait' },
  resting: { tone: 'warn', icon: 'wait' },
  refused: { tone: 'danger', icon: 'alert' },
  over: { tone: 'danger', icon: 'alert' },
};

/** How live it is. Only the change is read aloud: the seconds that count down are for the eye. */
function LinkLine() {
  const desk = useDesk();
  const link = desk.link.value;
  const { tone, icon } = TONES[link.phase];
  const counts = link.phase === 'stale' || link.phase === 'crowded';
  return (
    <div class={`link ${tone}`}>
      <p class="status" data-link={link.phase}>
        <Icon name={icon} />
        <span aria-hidden={counts}>{linkSentence(link, counts ? desk.now.value : 0)}</span>
      </p>
      <p class="unseen" role="status">
        {counts ? linkSentence(link, link.retryAt).replace(/ Trying.*$/, '') : ''}
      </p>
      {counts && <Button label="Try now" icon="retry" onPress={() => desk.wake()} />}
    </div>
  );
}

/** Alerts that fire stand on every page, because nobody looks at the page for them first. */
function Firing() {
  const desk = useDesk();
  const firing = ranked(desk.alerts.value?.alerts ?? []).filter((alert) => alert.state === 'firing');
  if (firing.length === 0 || desk.route.value.page === 'alerts') return null;
  return (
    <section class="firing" data-severity={firing[0]?.severity} aria-label="Alerts that fire">
      <Icon name="alert" />
      <p>
        {firing.length === 1 ? 'One alert fires: ' : `${counted(firing.length, 'alert')} fire: `}
        {firing.slice(0, 4).map((alert, at) => (
          <span key={alert.name}>
            {at > 0 && ', '}
            <a href="#/alerts">{alert.name}</a> ({plain(alert.severity)})
          </span>
        ))}
        {firing.length > 4 && ` and ${firing.length - 4} more`}
      </p>
    </section>
  );
}

/** What was done, in words, with the id that the audit log knows it by. */
function Notes() {
  const { notes } = useDesk();
  const [dismissed, dismiss] = useState(0);
  const open = notes.value.filter((note) => note.id > dismissed);
  const newest = open[0];
  return (
    <div class="notes" role="status">
      {newest !== undefined && (
        <div class="note">
          <div>
            <p>{newest.text}</p>
            {newest.request !== undefined && (
              <p class="hint">
                In the audit log as <code>{newest.request}</code>
              </p>
            )}
          </div>
          <Button look="square" icon="close" label="Dismiss this message" onPress={() => dismiss(newest.id)} />
        </div>
      )}
    </div>
  );
}
