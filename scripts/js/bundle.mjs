/** Bundles the JavaScript client's entries in one file each, as a page loads them, and measures what comes out. It writes nothing. */
import { createRequire } from "node:module";
import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

export const root = new URL("../../clients/js/", import.meta.url).pathname;
export const { entries, external = [] } = JSON.parse(readFileSync(`${root}entries.json`, "utf8"));
export const target = "es2022";

/** The file of a source: src/name.ts, or src/name.tsx. */
function sourceOf(name) {
  return readdirSync(`${root}src`).find((file) => file === `${name}.ts` || file === `${name}.tsx`);
}

/** esbuild of the tools' folder, and `bundle`. */
export function bundler(home) {
  const esbuild = createRequire(`${home}/package.json`)("esbuild");
  const common = { target, bundle: true, write: false, format: "esm", metafile: true, logLevel: "warning" };

  /** An entry in one file; `without`: modules that another entry has already. */
  function bundle(source, without = new Set(), options = {}) {
    const skip = {
      name: "skip",
      setup(build) {
        build.onResolve({ filter: /^\.\// }, ({ path }) => (without.has(path.slice(2, -3)) ? { path, external: true } : undefined));
      },
    };
    const entryPoints = [`src/${sourceOf(source)}`];
    const plugins = without.size ? [skip] : [];
    return esbuild.build({ ...common, absWorkingDir: root, external, entryPoints, jsx: "automatic", plugins, ...options });
  }
  /** What a page that has this line loads. */
  const bundleLine = (contents, resolveDir) => esbuild.build({ ...common, stdin: { contents, resolveDir }, minify: true });
  return { esbuild, bundle, bundleLine };
}

export const textOf = ({ outputFiles }) => outputFiles[0].text;
export const inputsOf = ({ metafile }) => new Set(Object.keys(metafile.inputs).map((path) => path.replace(/^src\/|\.tsx?$/g, "")));

/** In bytes. */
export const sizeOf = (text) => ({ min: Buffer.byteLength(text), gzip: gzipSync(text, { level: 9 }).length });

/** A row of the table of sizes. */
export const rowOf = (name, has, { min, gzip }) => `| ${name} | ${has} | ${(min / 1024).toFixed(1)} | ${(gzip / 1024).toFixed(1)} |`;
