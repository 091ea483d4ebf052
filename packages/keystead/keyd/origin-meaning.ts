/**
 * What an auditor may conclude from each way to a key, in words: the name of a way says nothing to who does not know it
 * already. REQ-KEY-PROV-02, REQ-KEY-GEN-03
 */
const MEANINGS: Readonly<Record<string, string>> = {
  'tpm2-attested':
    'made in a TPM that is believed, which answered a challenge to this key: it can be used in that TPM only',
  'secure-element': 'made in a secure element whose maker vouches for it with a certificate',
  'proof-of-possession':
    'the device signed its request with it; nothing shows where it is kept, or that it has no copy',
  injected: 'made outside of the device and given to it, wrapped to a key of this one device',
};

/** @param origin as a record has it. */
export const meaningOf = (origin: string): string => MEANINGS[origin] ?? 'see the fields beside';
