/** Where the operator is, as the hash of the address says it: `#/users/105945141827451681156`. */

export type UserOrder = 'pressure' | 'user';

export type Route =
  | { page: 'overview' }
  | { page: 'users'; search: string; sort: UserOrder }
  | { page: 'user'; user: string }
  | { page: 'reclaims'; user: string }
  | { page: 'agents' }
  | { page: 'node' }
  | { page: 'alerts' };

export type PageName = Route['page'];

/** The pages of the navigation, in order, each with the key that opens it after `g`. */
export const PAGES = [
  { page: 'overview', title: 'Overview', key: 'o', href: '#/overview' },
  { page: 'users', title: 'Users', key: 'u', href: '#/users' },
  { page: 'reclaims', title: 'Reclaims', key: 'r', href: '#/reclaims' },
  { page: 'agents', title: 'Agents', key: 'a', href: '#/agents' },
  { page: 'node', title: 'Node', key: 'n', href: '#/node' },
  { page: 'alerts', title: 'Alerts', key: 'l', href: '#/alerts' },
] as const satisfies readonly { page: PageName; title: string; key: string; href: string }[];

/** Reads a hash. One that names no page is the overview: a mistyped address still answers. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#/, '').split('?', 2);
  const [, page, ...rest] = path.split('/');
  const asked = new URLSearchParams(query);
  switch (page) {
    case 'users': {
      const user = decoded(rest.join('/'));
      if (user !== '') return { page: 'user', user };
      return {
        page: 'users',
        search: asked.get('search') ?? '',
        sort: asked.get('sort') === 'user' ? 'user' : 'pressure',
      };
    }
    case 'reclaims':
      return { page: 'reclaims', user: asked.get('user') ?? '' };
    case 'agents':
    case 'node':
    case 'alerts':
      return { page };
    default:
      return { page: 'overview' };
  }
}

/** The hash of a place; `parseRoute` reads the same place from it, whatever characters a user's id has (R28). */
export function hashOf(route: Route): string {
  switch (route.page) {
    case 'user':
      return `#/users/${encodeURIComponent(route.user)}`;
    case 'users': {
      const asked = new URLSearchParams();
      if (route.search !== '') asked.set('search', route.search);
      if (route.sort !== 'pressure') asked.set('sort', route.sort);
      return withQuery('#/users', asked);
    }
    case 'reclaims':
      return withQuery('#/reclaims', new URLSearchParams(route.user === '' ? {} : { user: route.user }));
    case 'overview':
    case 'agents':
    case 'node':
    case 'alerts':
      return `#/${route.page}`;
  }
}

function withQuery(path: string, asked: URLSearchParams): string {
  const query = asked.toString();
  return query === '' ? path : `${path}?${query}`;
}

/** A `%` that starts nothing is what somebody typed: taken as it stands. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
