import { join } from 'node:path';
import type { World } from './world.ts';

/** What to try next, as commands that work as they stand. */
export function tryNext(world: World): void {
  const { narrator, layout, httpUrl } = world;
  const data = layout.data;
  narrator.title('Everything is up. Try, in another terminal:');
  const commands: readonly (readonly [what: string, command: string])[] = [
    ['who is there', `npx keystead device list --data ${data}`],
    ['report another device stolen', `npx keystead device revoke KS-0002 --reason keyCompromise --data ${data}`],
    ['prove the history from files alone', `npx keystead audit verify --data ${data}`],
    ['run the checklist', `npx keystead verify --data ${data}`],
    [
      'ask OCSP with openssl',
      `openssl ocsp -issuer ${join(layout.trust, 'manufacturing.pem')} -CAfile ${world.rootPath} -cert ${join(data, 'try', 'TRY-0001.pem')} -url ${httpUrl}/ocsp/manufacturing`,
    ],
    ['read a provisioning record', `cat ${join(layout.records, 'KS-0001.yaml')}`],
    ['enrol a device of your own with openssl and curl', 'docs/enrol.md'],
    ['have firmware signed by one person who asks and another who approves', 'docs/signing.md'],
  ];
  for (const [what, command] of commands) {
    narrator.line(`   ${what}`);
    narrator.note(command);
  }
  narrator.line(`\n   ${layout.endpoints} names every address and credential. Ctrl-C stops.`);
}
