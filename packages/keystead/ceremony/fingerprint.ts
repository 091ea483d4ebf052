/** A hex string in groups of four digits, eight groups a line, for reading aloud and comparing by eye. */
export function hexGroups(hex: string, indent = ''): string {
  const groups = hex.match(/.{1,4}/g) ?? [];
  const lines: string[] = [];
  for (let at = 0; at < groups.length; at += 8) lines.push(indent + groups.slice(at, at + 8).join(' '));
  return lines.join('\n');
}
