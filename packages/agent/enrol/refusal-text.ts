/** What a server says goes to logs and terminals: at most 500 characters, control characters removed. */
export const readable = (body: Uint8Array): string =>
  Buffer.from(body)
    .toString('utf8')
    .replace(/[^\P{Cc}\n]+/gu, '')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 500);

/** The code in `{"error":{"code":…}}`, or in front of a plain text: `device.revoked: …`. */
export function codeIn(text: string): string | undefined {
  return (/"code"\s*:\s*"([a-z0-9.-]{1,64})"/.exec(text) ?? /^([a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+)\b/.exec(text))?.[1];
}
