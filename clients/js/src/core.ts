/** The entry `warren-client/core`: the client without parts, for pages that count bytes. Parts are passed as the option `parts`. */
export { WarrenClient } from "./client.js";
export { WarrenError } from "./error.js";
export type * from "./types.js";
export type { Host, Part, PartFactory } from "./parts.js";
