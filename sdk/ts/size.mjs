// How large each entry is, as a page would load it: bundled, minified, gzipped. Fails where the core is beyond its bound.
//
//   node size.mjs [--inputs]
//
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

/** docs/decisions/0023 says why it is not 6,000. */
const MAX_CORE_BYTES = 6_350;
const PEERS = ['@ag-ui/client', '@ag-ui/core', 'ai', 'react', 'rxjs'];

const { exports } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
let failed = false;
for (const [entry, target] of Object.entries(exports)) {
  if (typeof target === 'string') continue;
  const source = new URL(target.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts'), import.meta.url).pathname;
  const { outputFiles, metafile } = await build({
    entryPoints: [source],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    external: PEERS,
    metafile: true,
    write: false,
    logLevel: 'silent',
  }).catch((error) => ({ outputFiles: [], error }));
  const [file] = outputFiles;
  if (!file) {
    console.error(`${entry}: ${source} cannot be bundled`);
    failed = true;
    continue;
  }
  const bytes = gzipSync(file.contents, { level: 9 }).length;
  const isTooLarge = entry === '.' && bytes > MAX_CORE_BYTES;
  failed ||= isTooLarge;
  console.log(`${entry}: ${bytes} bytes gzipped${isTooLarge ? `, more than ${MAX_CORE_BYTES}` : ''}`);
  if (!process.argv.includes('--inputs')) continue;
  for (const [name, { bytesInOutput }] of Object.entries(Object.values(metafile.outputs)[0].inputs)) {
    console.log(`  ${bytesInOutput} bytes minified  ${name}`);
  }
}
process.exitCode = failed ? 1 : 0;
