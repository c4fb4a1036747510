/**
 * Builds the JavaScript client with esbuild, without types. Arguments: the tools' folder, and `--check`.
 * What clients import is one module for each source file, so that a bundler takes what is used, and modules that entries share exist once.
 */
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const [home, flag] = process.argv.slice(2);
const isCheck = flag === "--check";
const esbuild = createRequire(`${home}/package.json`)("esbuild");
const root = new URL("../../clients/js/", import.meta.url).pathname;
const { entries, external } = JSON.parse(readFileSync(`${root}entries.json`, "utf8"));
const target = "es2022";
const common = { absWorkingDir: root, target, bundle: true, write: false, external, logLevel: "warning" };
const MADE = "// Made from clients/js/src by scripts/js/build (make js); do not edit.";
const faults = [];

/** The file of a source: src/name.ts, or src/name.tsx. */
function sourceOf(name) {
  return readdirSync(`${root}src`).find((file) => file === `${name}.ts` || file === `${name}.tsx`);
}

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
  esbuild.buildSync({ ...common, bundle: false, external: undefined, write: true, entryPoints, outdir: folder, format, jsx: "automatic" });
  if (format === "cjs") writeFileSync(`${folder}/package.json`, '{ "type": "commonjs" }\n');
}

/** One entry in one file, as a page loads it; `without`: modules that another entry has already. */
function bundle(source, without = new Set(), options = {}) {
  const skip = {
    name: "skip",
    setup(build) {
      build.onResolve({ filter: /^\.\// }, ({ path }) => (without.has(path.slice(2, -3)) ? { path, external: true } : undefined));
    },
  };
  const entryPoints = [`src/${sourceOf(source)}`];
  const plugins = without.size ? [skip] : [];
  return esbuild.build({ ...common, entryPoints, format: "esm", jsx: "automatic", metafile: true, plugins, ...options });
}

const textOf = ({ outputFiles }) => outputFiles[0].text;
const inputsOf = ({ metafile }) => new Set(Object.keys(metafile.inputs).map((path) => path.replace(/^src\/|\.tsx?$/g, "")));

async function sizes() {
  const core = inputsOf(await bundle("core"));
  for (const [path, { source, gzip }] of Object.entries(entries)) {
    if (path === "./protocol") continue;
    const isWhole = path === "." || path === "./core";
    const text = textOf(await bundle(source, isWhole ? undefined : core, { minify: true }));
    const size = gzipSync(text, { level: 9 }).length;
    const name = `warren-client${path.slice(1)}`;
    console.log(`${name.padEnd(26)} ${String(text.length).padStart(6)} bytes, ${String(size).padStart(5)} with gzip${gzip ? ` (at most ${gzip})` : ""}`);
    if (gzip && size > gzip) faults.push(`${name} has ${size} bytes with gzip, and may have ${gzip} (clients/js/entries.json)`);
  }
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
await sizes();
for (const fault of faults) console.error(`js: ${fault}`);
process.exitCode = faults.length ? 1 : 0;
