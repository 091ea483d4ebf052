import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { CarriedTrust, type FirmwareVerdict, verifyFirmware } from '@keystead/agent';
import type { DerCertificate } from '@keystead/core/bytes';
import { imageOf } from '@keystead/core/firmware';
import { readCertificate } from '@keystead/core/x509';
import { systemClock } from 'keystead/clock/system.ts';
import { Agent, type AgentEvent, type openDevice } from '../../packages/agent/daemon/agent.ts';
import type { readConfig } from '../../packages/agent/daemon/config.ts';

/** A device: the agent with its state, as its daemon has it, but in this process. */
export interface Pump {
  readonly id: string;
  /** Looks for a bundle and reports, and resolves when both are done. */
  look(): Promise<void>;
  /** Puts in firmware, as its updater would. */
  install(version: string, securityCounter: number): void;
  judge(image: Uint8Array, keys: readonly DerCertificate[]): Promise<FirmwareVerdict>;
  /** Who the server behind the pinned tunnel takes it for; rejects where the tunnel refuses the server. */
  whoAmI(): Promise<string>;
  /** How its reports to serve ended: `reported`, or the rule that refused serve. */
  reports(): string[];
  /** Why its tunnel refused last. */
  refusals(): string[];
  stop(): Promise<void>;
}

/** Starts the agent; resolves when it has its LDevID and has reported. */
export async function running(
  config: ReturnType<typeof readConfig>,
  device: Awaited<ReturnType<typeof openDevice>>,
  install: Pump['install'],
): Promise<Pump> {
  const events: AgentEvent[] = [];
  let heard: () => void = () => undefined;
  const agent = new Agent(config, device, systemClock, (event) => {
    events.push(event);
    heard();
  });
  await agent.start();
  while (!events.some(({ type }) => type === 'reported')) {
    const failed = events.find(({ type }) => type === 'report-failed' || type === 'failed');
    if (failed !== undefined) assert.fail(`${config.deviceId}: ${JSON.stringify(failed)}`);
    await new Promise<void>((resolve) => {
      heard = resolve;
    });
  }
  return {
    id: config.deviceId,
    install,
    look: () => agent.look(),
    stop: () => agent.stop(),
    async judge(image, keys) {
      const trust = CarriedTrust.open(device.state) ?? assert.fail('no bundle');
      const spkis = keys.map((der) => readCertificate(der).spki);
      const offer = { format: 'mcuboot', product: 'ks-pump-1', image: imageOf(image), keys: spkis } as const;
      return verifyFirmware(offer, trust, systemClock);
    },
    whoAmI: () =>
      new Promise((resolve, reject) => {
        request({ socketPath: join(config.run, 'gateway.sock'), path: '/whoami', agent: false }, (answer) => {
          let text = '';
          answer.on('data', (part: Buffer) => {
            text += part.toString();
          });
          answer.on('end', () => resolve((JSON.parse(text) as { deviceId: string }).deviceId));
        })
          .on('error', reject)
          .end();
      }),
    reports: () =>
      events.flatMap(({ type, ...event }) => {
        if (type === 'reported') return [type];
        return type === 'report-failed' ? [String((event as { error?: { field?: string } }).error?.field)] : [];
      }),
    refusals: () =>
      events.flatMap((event) =>
        event.type === 'tunnel-refused' ? [String((event.error as { field?: string }).field)] : [],
      ),
  };
}
