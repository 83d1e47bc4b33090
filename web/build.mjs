// Places what npm brings where Go embeds it. Run `npm ci` here first, then
// `node build.mjs` (from any folder).
//
//   handlebars.min.js   the full build, compiler and parser included, because
//                       templates are compiled inside the server
//   mjml.js.gz          the MJML compiler, which is unpacked when the first template of
//                       MJML is saved
//   scalar.js.gz        the interactive API reference, kept compressed: it is
//                       served with Content-Encoding: gzip
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constants, gzipSync } from 'node:zlib';

const web = dirname(fileURLToPath(import.meta.url));
const root = dirname(web);

const outputs = [
  {
    name: 'handlebars',
    file: 'dist/handlebars.min.js',
    to: 'internal/template/js/handlebars.min.js',
    encode: (bytes) => bytes,
  },
  {
    name: 'mjml-browser',
    file: 'lib/index.js',
    to: 'internal/template/js/mjml.js.gz',
    encode: (bytes) => gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }),
  },
  {
    name: '@scalar/api-reference',
    file: 'dist/browser/standalone.js',
    to: 'apiserver/docs/scalar.js.gz',
    encode: (bytes) => gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }),
  },
];

/** Reads one file of an installed package, at exactly the version that package.json pins. */
function readPinned({ name, file }, pinned) {
  const folder = join(web, 'node_modules', name);
  let installed;
  try {
    installed = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version;
  } catch (err) {
    if (err.code !== 'ENOENT') throw err;
    throw new Error(`${name} ${pinned} is not installed`);
  }
  if (installed !== pinned) throw new Error(`${name} is installed at ${installed}, package.json pins ${pinned}`);
  try {
    return readFileSync(join(folder, file));
  } catch (err) {
    if (err.code !== 'ENOENT') throw err;
    throw new Error(`${name} ${pinned} is installed without its ${file}`);
  }
}

/** Writes by rename, so that a build that runs at the same time never embeds half a file. */
function place(path, bytes) {
  mkdirSync(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}.part`;
  writeFileSync(part, bytes);
  renameSync(part, path);
}

const pins = JSON.parse(readFileSync(join(web, 'package.json'), 'utf8')).dependencies;
try {
  const ready = outputs.map((out) => ({ ...out, bytes: out.encode(readPinned(out, pins[out.name])) }));
  for (const { to, bytes } of ready) {
    place(join(root, to), bytes);
    console.log(`${to}  ${Math.round(bytes.length / 1024)} kB`);
  }
} catch (err) {
  const here = relative(process.cwd(), web) || '.';
  console.error(`web/build.mjs: ${err.message}.\nRun \`npm ci\` in ${here}, then \`node build.mjs\` again.`);
  process.exit(1);
}
