/** What the builds in one file have: `warren.js`, an ES module, and `dist/warren.global.js` with the global name `Warren`. */
export * from "./index.js";
