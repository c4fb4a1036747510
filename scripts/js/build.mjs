/**
 * Builds the JavaScript client with esbuild, without types. Arguments: the tools' folder, and `--check`.
 * What clients import is one module for each source file, so that a bundler takes what is used, and modules that entries share exist once.
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";

import { bundler, entries, external, inputsOf, rowOf, root, sizeOf, target, textOf } from "./bundle.mjs";

const [home, flag] = process.argv.slice(2);
const isCheck = flag === "--check";
const { esbuild, bundle } = bundler(home);
const MADE = "// Made from clients/js/src by scripts/js/build (make js); do not edit.";
const faults = [];

/** Write a file that is committed; or, to check, compare it. */
function committed(path, text) {
  const before = readFileSync(`${root}${path}`, "utf8");
  if (before === text) return;
  if (isCheck) faults.push(`clients/js/${path} is not in step with clients/js/src: run make js`);
  else writeFileSync(`${root}${path}`, text);
}

function modules(format) {
  const folder = `${root}dist/${format}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const entryPoints = readdirSync(`${root}src`).map((name) => `src/${name}`);
  esbuild.buildSync({ absWorkingDir: root, target, entryPoints, outdir: folder, format, jsx: "automatic", logLevel: "warning" });
  if (format === "cjs") writeFileSync(`${folder}/package.json`, '{ "type": "commonjs" }\n');
}

/** Print each entry's size, compare it with its budget, and put it into the table of README.md. */
async function sizes() {
  const core = inputsOf(await bundle("core"));
  let readme = readFileSync(`${root}README.md`, "utf8");
  for (const [path, { source, gzip, has }] of Object.entries(entries)) {
    if (path === "./protocol") continue;
    const isWhole = path === "." || path === "./core";
    const size = sizeOf(textOf(await bundle(source, isWhole ? undefined : core, { minify: true })));
    const name = `warren-client${path.slice(1)}`;
    const most = gzip ? ` (at most ${gzip})` : "";
    console.log(`${name.padEnd(26)} ${String(size.min).padStart(6)} bytes, ${String(size.gzip).padStart(5)} with gzip${most}`);
    if (gzip && size.gzip > gzip) faults.push(`${name} has ${size.gzip} bytes with gzip, and may have ${gzip} (clients/js/entries.json)`);
    const row = rowOf(`\`${name}\``, has, size);
    const old = new RegExp(`^\\| \`${name}\` \\|.*$`, "m");
    // a new entry comes below the last one
    readme = old.test(readme) ? readme.replace(old, row) : readme.replace(/(^\| `warren-client[^\n]*\n)(?!\| `warren-client)/m, `$1${row}\n`);
  }
  committed("README.md", readme);
}

function packageJson() {
  const found = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  const way = (format, source) => ({ types: `./dist/${format}/${source}.d.ts`, default: `./dist/${format}/${source}.js` });
  const exported = Object.entries(entries).map(([path, { source }]) => [path, { import: way("esm", source), require: way("cjs", source) }]);
  found.exports = { ...Object.fromEntries(exported), "./warren.js": "./warren.js", "./package.json": "./package.json" };
  return `${JSON.stringify(found, null, 2)}\n`;
}

modules("esm");
modules("cjs");
const global = { format: "iife", globalName: "Warren", minify: true, banner: { js: MADE } };
writeFileSync(`${root}dist/warren.global.js`, textOf(await bundle("all", undefined, global)));
committed("warren.js", textOf(await bundle("all", undefined, { banner: { js: MADE } })));
committed("package.json", packageJson());
committed("LICENSE", readFileSync(`${root}../../LICENSE`, "utf8"));
await sizes();
for (const fault of faults) console.error(`js: ${fault}`);
process.exitCode = faults.length ? 1 : 0;
