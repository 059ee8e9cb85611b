// Serves this folder, and the built client at /client/, to this machine alone. No bundler: the page imports the files.
//
//   npm run --workspace sdk/ts example:plain          then open what it prints

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

const PAGE = new URL('./', import.meta.url);
const CLIENT = new URL('./', import.meta.resolve('@lychgate/client'));
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

/** The file for a path, or undefined where it would lie outside of the two folders. */
function fileFor(path) {
  const [base, rest] = path.startsWith('/client/') ? [CLIENT, path.slice('/client/'.length)] : [PAGE, path.slice(1)];
  const file = new URL(rest || 'index.html', base);
  return file.href.startsWith(base.href) ? file : undefined;
}

const server = createServer(async (request, response) => {
  const file = fileFor(new URL(request.url ?? '/', 'http://localhost').pathname);
  const type = file && TYPES[extname(fileURLToPath(file))];
  const bytes = type && (await readFile(file).catch(() => undefined));
  if (!bytes) return void response.writeHead(404, { 'content-type': 'text/plain' }).end('There is no such file.\n');
  response.writeHead(200, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' }).end(bytes);
});
server.listen(Number(process.env.PORT ?? 5180), '127.0.0.1', () => {
  console.log(`Open http://127.0.0.1:${server.address().port}/`);
});
