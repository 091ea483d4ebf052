import { setTimeout as pause } from 'node:timers/promises';
import { formatLogReport, type LogReport } from '../../audit/index.ts';
import { verifyHistory } from '../../verify/history.ts';
import { formatChecklist, runChecklist } from '../../verify/index.ts';
import type { World } from '../world.ts';

/** Step 7: the whole history is proven from files alone, and the checklist runs on the live system. */
export async function proof(world: World): Promise<void> {
  const { narrator, layout } = world;
  narrator.step(
    7,
    'Proof',
    'Everything that happened stands in a transparency log whose checkpoints keyd signs. The files alone prove it: no database, no server, no trust in either.',
  );
  const report = await publishedHistory(world);
  for (const line of formatLogReport(report).split('\n')) narrator.note(line);
  const checklist = await runChecklist(layout, world.clock);
  for (const line of formatChecklist(checklist).split('\n')) narrator.note(line);
  if (report.verdict !== 'proven' || checklist.some((check) => check.verdict === 'failed')) {
    narrator.warn('something is not proven: the lines above say what');
  } else {
    narrator.done('keystead audit verify and keystead verify find nothing wrong');
  }
}

/** The log is published within a second of what it tells; what has just been done should be in the proof. */
async function publishedHistory({ layout }: World): Promise<LogReport> {
  for (let attempt = 0; ; attempt += 1) {
    const report = await verifyHistory(layout);
    if (report.comparedWith.database?.unpublished === 0 || attempt >= 20) return report;
    await pause(250);
  }
}
