import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { certSha256, spkiSha256 } from '@keystead/core/crypto';
import { profileOf, ROOT_CRL_LIST, ROOT_CRL_PROFILE } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { fingerprintRows } from '../files/fingerprint.ts';
import { certifyCrlSigner, type Making, type OfflineRoot } from './hierarchy.ts';
import type { Changing, Previous } from './previous.ts';
import { describeProfile } from './script.ts';
import type { Step } from './session.ts';

const TITLE = 'Certificate of the CRL signer of the root';

const WHY = [
  `keyd signs the list ${ROOT_CRL_LIST} with it between ceremonies: what the root has revoked, and CAs that a quorum`,
  'of operators orders to be revoked. It can sign nothing else. SHA-256 of the public key:',
];

/** What the script of a founding says where nobody will sign an indirect CRL. */
export const WITHOUT_CRL_SIGNER = [
  'No indirect CRL of the root: the policy has no profile for its signer, or keyd asked for none. A CA can then be',
  'revoked in a ceremony alone.',
];

/** The step of a founding that certifies who signs the indirect CRL of the root. */
export function crlSignerStep(
  spki: DerSpki,
  root: () => OfflineRoot,
  making: Making,
  taken: (certificate: DerCertificate) => void,
): Step {
  return {
    title: TITLE,
    what: [
      ...WHY,
      fingerprintRows(spkiSha256(spki), '  '),
      ...describeProfile(profileOf(making.policy, ROOT_CRL_PROFILE)),
    ],
    async act(session) {
      const certificate = await certifyCrlSigner(root(), spki, making);
      taken(certificate);
      session.certified('certificate', ROOT_CRL_PROFILE, certificate);
    },
  };
}

/**
 * The step of a later ceremony that certifies the signer again, for the key that it has, so that it never ends before
 * the lists of the root do. None where the hierarchy has no signer.
 * @throws KeysteadError `profile.unknown` when the policy has none for it any more: the CAs name it.
 */
export function signerAgainSteps({ bundle }: Previous, changing: Changing, making: Making): Step[] {
  if (bundle.crlSigner === undefined) return [];
  const old = readCertificate(bundle.crlSigner);
  const step = crlSignerStep(
    old.spki,
    () => changing.root('root'),
    making,
    () => {},
  );
  return [
    {
      ...step,
      title: `${TITLE}, again`,
      async act(session) {
        const certificate = await certifyCrlSigner(changing.root('root'), old.spki, making);
        changing.change({ crlSigner: certificate });
        session.certified('certificate', ROOT_CRL_PROFILE, certificate, { replaces: certSha256(old.der) });
      },
    },
  ];
}
