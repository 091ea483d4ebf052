import { existsSync, readFileSync } from 'node:fs';

/** Lines found and hit, by room (`core/x509`, `keystead/keyd`, …), from an lcov file; tests are left out. */
export function coverageTable(lcov: string): string {
  if (!existsSync(lcov)) return 'no coverage was recorded';
  const rooms = new Map<string, { found: number; hit: number }>();
  let room: string | undefined;
  for (const line of readFileSync(lcov, 'utf8').split('\n')) {
    const [key, value = ''] = line.split(':', 2);
    if (key === 'SF') room = roomOf(value);
    if (room === undefined || (key !== 'LF' && key !== 'LH')) continue;
    const sum = rooms.get(room) ?? { found: 0, hit: 0 };
    if (key === 'LF') sum.found += Number(value);
    else sum.hit += Number(value);
    rooms.set(room, sum);
  }
  const rows = [...rooms].sort(([a], [b]) => a.localeCompare(b));
  const total = rows.reduce((sum, [, one]) => ({ found: sum.found + one.found, hit: sum.hit + one.hit }), {
    found: 0,
    hit: 0,
  });
  const width = Math.max(5, ...rows.map(([name]) => name.length));
  const format = ([name, { found, hit }]: [string, { found: number; hit: number }]): string =>
    `${name.padEnd(width)}  ${String(found).padStart(7)}  ${((100 * hit) / Math.max(1, found)).toFixed(1).padStart(6)} %`;
  return [`${'room'.padEnd(width)}    lines  covered`, ...rows.map(format), format(['total', total])].join('\n');
}

function roomOf(path: string): string | undefined {
  const match = /^packages\/([^/]+)\/([^/]+)(?:\/|$)/.exec(path);
  if (match === null || path.includes('/tests/')) return undefined;
  const [, pkg = '', room = ''] = match;
  return pkg === 'agent' || room.endsWith('.ts') ? pkg : `${pkg}/${room}`;
}
