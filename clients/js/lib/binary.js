/** Base64 for binary payloads in JSON. Part of warren.js. */

export function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

/** Replace a message's base64 payload by its bytes, in place. */
export function decode(message) {
  if (message.encoding !== "base64") return;
  message.payload = Uint8Array.from(atob(message.payload), (character) => character.charCodeAt(0));
}
