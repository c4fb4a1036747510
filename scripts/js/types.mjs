/** Checks the client's types, and writes the declarations beside the ES modules and the CommonJS ones. Argument: the tools' folder. */
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, rmSync } from "node:fs";

const [home] = process.argv.slice(2);
const root = new URL("../../clients/js/", import.meta.url).pathname;
const { status } = spawnSync(process.execPath, [`${home}/node_modules/typescript/bin/tsc`, "--project", root], { stdio: "inherit" });
if (status !== 0) process.exit(1);
for (const name of readdirSync(`${root}dist/cjs`)) if (name.endsWith(".d.ts")) rmSync(`${root}dist/cjs/${name}`);
for (const name of readdirSync(`${root}dist/esm`)) {
  if (name.endsWith(".d.ts")) cpSync(`${root}dist/esm/${name}`, `${root}dist/cjs/${name}`);
}
