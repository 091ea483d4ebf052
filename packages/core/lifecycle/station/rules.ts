import { z } from 'zod';

/** The profile of the certificates of stations. A policy of before stations has none: there are none then. */
export const STATION_PROFILE = 'station';

/** One shift: an operator who is signed on for longer has gone home and left the station to whoever stands there. */
export const LONGEST_SIGN_ON_SECONDS = 12 * 3600;

/** What a policy says of stations; without it they may be used, and need not be. */
export const StationsPolicySchema = z.strictObject({
  /** Whether every unit must come from a station that somebody is signed on at. */
  required: z.boolean(),
  /** How long one sign-on may hold. */
  maxSignOnSeconds: z.int().min(60).max(LONGEST_SIGN_ON_SECONDS),
});
export type StationRules = z.infer<typeof StationsPolicySchema>;

/** The rules in force. */
export const stationRules = ({ stations }: { readonly stations?: StationRules }): StationRules =>
  stations ?? { required: false, maxSignOnSeconds: LONGEST_SIGN_ON_SECONDS };
