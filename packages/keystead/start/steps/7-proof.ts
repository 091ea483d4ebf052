import { formatLogReport, verifyLogFiles } from '../../audit/index.ts';
import { formatChecklist, runChecklist } from '../../verify/index.ts';
import { logKeys } from '../../verify/log-keys.ts';
import type { World } from '../world.ts';

/** Step 7: the whole history is proven from files alone, and the checklist runs on the live system. */
export async function proof(world: World): Promise<void> {
  const { narrator, layout } = world;
  narrator.step(
    7,
    'Proof',
    'Everything that happened stands in a transparency log whose checkpoints keyd signs. The files alone prove it: no database, no server, no trust in either.',
  );
  const report = await verifyLogFiles({ dir: layout.log, vkeys: logKeys(layout), keydLeaves: `${layout.keyd}/leaves` });
  for (const line of formatLogReport(report).split('\n')) narrator.note(line);
  const checklist = await runChecklist(layout, world.clock);
  for (const line of formatChecklist(checklist).split('\n')) narrator.note(line);
  if (report.verdict !== 'proven' || checklist.some((check) => check.verdict === 'failed')) {
    narrator.warn('something is not proven: the lines above say what');
  } else {
    narrator.done('keystead audit verify and keystead verify find nothing wrong');
  }
}
