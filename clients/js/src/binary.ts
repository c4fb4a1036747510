/** Base64 for binary payloads in JSON. It knows nothing of frames beyond `encoding` and `payload`. */

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

/** Replace a message's base64 payload by its bytes, in place. */
export function decode(message: { encoding?: string; payload?: unknown }): void {
  if (message.encoding !== "base64") return;
  message.payload = Uint8Array.from(atob(message.payload as string), (character) => character.charCodeAt(0));
}
