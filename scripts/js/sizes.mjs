/** Prints the table of sizes: this client's entries, and clients of other projects. Arguments: the tools' folder, the packages. */
import { bundler, entries, inputsOf, rowOf, sizeOf, textOf } from "./bundle.mjs";

const [home, ...packages] = process.argv.slice(2);
const { bundle, bundleLine } = bundler(home);
const NAMES = { "socket.io-client": "io", "pusher-js": "default", centrifuge: "Centrifuge", phoenix: "Socket, Presence" };

console.log("| bundle | what it has | KiB, minified | with gzip |\n| --- | --- | --- | --- |");
const core = inputsOf(await bundle("core"));
for (const [path, { source, has }] of Object.entries(entries)) {
  if (path === "./protocol") continue;
  const isWhole = path === "." || path === "./core";
  const made = await bundle(source, isWhole ? undefined : core, { minify: true });
  console.log(rowOf(`\`warren-client${path.slice(1)}\``, has, sizeOf(textOf(made))));
}
for (const each of packages) {
  const [name, version] = each.split(/(?<=.)@/);
  console.log(rowOf(`${name} ${version}`, `the export ${NAMES[name]}`, sizeOf(textOf(await bundleLine(`export { ${NAMES[name]} } from "${name}"`, home)))));
}
