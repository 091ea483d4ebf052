import cliProgress from 'cli-progress';

/** How far a long step has come, in bytes: a bar on a terminal, nothing elsewhere. */
export interface Progress {
  at(bytes: number, ofBytes?: number): void;
  end(): void;
}

/** @param quiet for output that programs read. @param unit what is counted. */
export function progressOf(what: string, quiet = false, unit = 'bytes'): Progress {
  if (quiet || !process.stderr.isTTY) return { at: () => {}, end: () => {} };
  const bar = new cliProgress.SingleBar({
    format: `${what} [{bar}] {value} of {total} ${unit}`,
    stream: process.stderr,
    clearOnComplete: true,
  });
  let started = false;
  return {
    at(bytes, ofBytes) {
      if (!started) bar.start(ofBytes ?? bytes, 0);
      started = true;
      if (ofBytes === undefined) bar.setTotal(Math.max(bytes, bar.getTotal()));
      bar.update(bytes);
    },
    end: () => bar.stop(),
  };
}
