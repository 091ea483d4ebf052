/** What a revocation that is carried out at once is answered with. */
export interface RevokedAnswer {
  readonly revoked: readonly string[];
  readonly onCrl: boolean;
  readonly withheld: number;
}

const WAY_ON =
  'OCSP says revoked; they come onto it as the policy lets time pass (revocation.alone), or now with the whole batch: keystead revoke --batch TICKET --propose';

/** Whether what was revoked stands on the CRL, in words. REQ-KEY-REV-01 */
export function crlText({ onCrl, withheld }: Pick<RevokedAnswer, 'onCrl' | 'withheld'>): string {
  if (onCrl) return 'its CRL is out';
  if (withheld === 0) return 'the CRL follows as soon as keyd is back';
  return `NOT ALL ON THE CRL: of its CAs keyd withholds ${withheld}, for which it takes statements of several people. ${WAY_ON}`;
}

/** A line for each CA of whose revocations keyd withholds some. */
export const withheldTexts = (withheld: Readonly<Record<string, number>>): string[] =>
  Object.entries(withheld).map(
    ([issuer, count]) =>
      `${issuer}: keyd withholds ${count} from the CRL, for which it takes statements of several people. ${WAY_ON}`,
  );
