// Prints a token for a user that lets it join and publish to some rooms. Needs Node.js alone.
//
// JWT_SECRET=… node mint_token.mjs USER [JOIN,…] [PUBLISH,…]
import { createHmac } from "node:crypto";
import { pathToFileURL } from "node:url";

const LIFETIME_S = 600;

/** Returns a token that is good for ten minutes. Without patterns the namespaces alone decide. */
export function mint(secret, user, join, publish) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: user, iat: now, exp: now + LIFETIME_S };
  if (join || publish) claims.warren = { join, publish }; // what is undefined is left out of the JSON
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [user, join, publish] = process.argv.slice(2);
  console.log(mint(process.env.JWT_SECRET, user, join?.split(","), publish?.split(",")));
}
