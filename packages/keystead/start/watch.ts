import type { World } from './world.ts';

const TALK_EVERY_MS = 5_000;
const TELL_EVERY_MS = 30_000;

/** While Keystead stays up: the devices talk and renew, and a line now and then says how it goes. */
export function watchFleet(world: World): () => void {
  const counts = { renewed: 0, talked: 0, failed: 0 };
  const offs = [...world.fleet.values()].map((device) =>
    device.onEvent((event) => {
      if (event.type === 'renewed' || event.type === 'recovered') counts.renewed += 1;
      else if (event.type === 'failed') counts.failed += 1;
    }),
  );
  const talking = setInterval(() => {
    for (const device of world.inService) {
      device.talk('still here').then(
        () => {
          counts.talked += 1;
        },
        () => {
          counts.failed += 1;
        },
      );
    }
  }, TALK_EVERY_MS);
  const telling = setInterval(() => {
    const { renewed, talked, failed } = counts;
    world.narrator.note(`since the story: ${renewed} renewals, ${talked} messages, ${failed} failures`);
  }, TELL_EVERY_MS);
  return () => {
    clearInterval(talking);
    clearInterval(telling);
    for (const off of offs) off();
  };
}
